"""Whether meters are heard: looked at every half minute, and told to who listens when it changes.

Only those that are silent are kept in mind; the others are told by not being among them.
"""

from typing import NamedTuple

from sqlalchemy import select

from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.live.places import Kind, Place
from hesper_cloud.rules.silence import unheard
from hesper_cloud.services.sources import Sources

KIND: Kind = "meter-status-change"


class _Silent(NamedTuple):
    """A meter that is not heard; by its fields it is told when it is heard again."""

    gateway: str | None
    area: str | None


class MeterStatus:
    """Compares the meters that are silent with those of the last look."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._silent: dict[str, _Silent] | None = None

    def turn(self) -> None:
        """Looks, and publishes what changed since the last look; the first one is only a look."""
        before, now = self._silent, self._look()
        self._silent = now
        if before is None:
            return
        for meter in now.keys() - before.keys():
            self._tell(meter, now[meter], "silent")
        for meter in before.keys() - now.keys():
            self._tell(meter, before[meter], "online")

    def _look(self) -> dict[str, _Silent]:
        sources = self._sources
        with reading(sources.registry) as session:
            silent = unheard(session, sources.settings.rules, sources.clock())
            query = select(Meter.id, Meter.gateway_id, Meter.area).where(
                silent, Meter.last_contact_at.is_not(None)
            )
            return {
                meter: _Silent(gateway, area) for meter, gateway, area in session.execute(query)
            }

    def _tell(self, meter: str, place: _Silent, status: str) -> None:
        document = {"meter": meter, "status": status, "at": self._sources.clock()}
        where = Place(meter, place.gateway, place.area)
        self._sources.live.publish(where, KIND, document)
