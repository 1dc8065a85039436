"""Refused credentials over a real socket: three associations, then the public client alone."""

import pytest
from hesper_gateway.database import Database
from hesper_gateway.errors import CredentialsRefused, Hop
from hesper_gateway.lockout import MOST_REFUSED, CredentialsHeld, Lockout


async def test_a_meter_with_other_keys_is_asked_three_times(bench, database: Database):
    told = []
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, encryption_key=bytes(16))
        session._common.guard = Lockout(database, lambda *alarm: told.append(alarm))
        for _ in range(MOST_REFUSED):
            with pytest.raises(CredentialsRefused):
                async with session.reading():
                    pass
        asked = bench.connections
        for _ in range(5):
            with pytest.raises(CredentialsHeld) as held:
                async with session.reading():
                    pass
        assert held.value.hop is Hop.ASSOCIATION
        assert bench.connections == asked
        async with session._opening.associated("public"):
            pass
    assert [whose for whose, _ in told] == [session.meter.id]
