"""The registry's copies of gateways' public keys, which follow the authority's own.

The authority decides whose key counts: by `hesper-cloud gateway add`, an enrolment, a revocation.
What the head end does with keys (it asks gateways for what is missing, and reads what they signed)
it does by the registry.
"""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine, select

from hesper_cloud.db.authority import GatewayKey
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway


class GatewayKeys:
    """Brings the registry up to date; `turn` writes only where something changed."""

    def __init__(self, registry: Engine, authority: Engine, clock: Callable[[], datetime]) -> None:
        self._registry = registry
        self._authority = authority
        self._clock = clock

    def turn(self) -> None:
        """Copies keys that are new or others, and takes those away that count no more."""
        with reading(self._authority) as session:
            query = select(GatewayKey.gateway, GatewayKey.public_key)
            counts = {row.gateway: row.public_key for row in session.execute(query)}
        with reading(self._registry) as session:
            columns = select(Gateway.id, Gateway.public_key)
            known = {row.id: row.public_key for row in session.execute(columns)}
        changed = {
            gateway: counts.get(gateway)
            for gateway in known.keys() | counts.keys()
            if known.get(gateway) != counts.get(gateway)
        }
        if not changed:
            return
        with writing(self._registry) as session:
            for gateway, key in changed.items():
                row = session.get(Gateway, gateway)
                if row is None:
                    row = Gateway(id=gateway, first_seen_at=self._clock())
                    session.add(row)
                row.public_key = key
