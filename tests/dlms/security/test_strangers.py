"""What a stranger, an odd peer or a careless setting might do to keys, counters and memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.association import Authentication
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import AssociationRejected, LocalError, SecurityError, ServiceError
from hesper_dlms.security import (
    ENCRYPTED,
    Form,
    KeyEstablishment,
    Protection,
    SecurityContext,
    Signature,
)
from hesper_dlms.security.gcm import GcmKey
from hesper_dlms.security.sealing import Way
from hesper_dlms.server import ClientRole, LogicalServer
from hesper_dlms.server.connection import Sessions, WrapperConnection
from hesper_dlms.wrapper import wrap

CLIENT, METER = b"CLIENT00", b"METER000"
GMAC = ClientRole(Authentication.HIGH_GMAC)
CIPHERED = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
PUSH = apdu.DataNotification(1, b"", axdr.encode(axdr.structure(axdr.unsigned(5)))).to_octets()


@pytest.mark.parametrize("mechanism", [Authentication.HIGH_GMAC, Authentication.HIGH_SHA256])
def test_a_stranger_who_has_our_own_proofs_made_for_it(
    bench: Any, security: Any, mechanism: Authentication
) -> None:
    """Two associations of one client; a proof asked for in one is shown in the other.

    It fits where the stranger calls itself as the client does.
    """
    keys = security.Keys(0)
    role = ClientRole(mechanism, password=security.SECRET)
    counter = bench.Counter()
    clients = []
    for _ in range(2):
        pair = security.Pair(bench, keys, role, meter_system_title=None, invocation_counter=counter)
        clients.append(pair.client.connect())
    challenges = []
    for exchange in clients:
        asked = apdu.parse(next(exchange)[8:] or exchange.send(b"")[8:])
        assert isinstance(asked, apdu.Aarq)
        challenges.append(asked.authentication_value)
    granted = apdu.InitiateResponse(apdu.LOGICAL_NAME_SERVICES, 500).to_octets()
    for exchange, challenge in zip(clients, reversed(challenges), strict=True):
        forged = apdu.Aare(1, 0, 14, granted, mechanism, challenge, bench.CLIENT_TITLE)
        with pytest.raises(SecurityError, match="our own system title"):
            exchange.send(wrap(1, 1, forged.to_octets()))


def test_a_client_that_calls_itself_as_the_meter_does(bench: Any, security: Any) -> None:
    pair = security.Pair(bench, security.Keys(0), CIPHERED, system_title=bench.METER_TITLE)
    with pytest.raises(AssociationRejected):
        pair.run(pair.client.connect())


@pytest.mark.parametrize("title", [b"SEVEN00", b"NINE00000"])
def test_a_title_of_another_length_is_the_meters_fault(
    bench: Any, security: Any, title: bytes
) -> None:
    class Odd(security.Pair):  # type: ignore[misc, name-defined]
        def answer(self, octets: bytes) -> bytes:
            answered = apdu.parse(super().answer(octets)[8:])
            if isinstance(answered, apdu.Aare):
                answered = answered._replace(system_title=title)
            return wrap(1, 1, answered.to_octets())

    pair = Odd(bench, security.Keys(0), GMAC, meter_system_title=None)
    with pytest.raises(SecurityError, match="8 octets"):
        pair.run(pair.client.connect())


def test_the_last_counter_of_all_was_taken(bench: Any, security: Any) -> None:
    pair = security.Pair(bench, security.Keys(0), CIPHERED)
    pair.run(pair.client.connect())
    for name in pair.server.received_counters:
        pair.server.received_counters[name] = 0xFFFFFFFF
    with pytest.raises(ServiceError):
        pair.run(pair.client.get(bench.ENERGY))
