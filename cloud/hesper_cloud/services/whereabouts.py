"""Behind which gateway and in which area meters are, asked seldom and remembered for a while."""

import time
from collections.abc import Callable, Collection

from sqlalchemy import Engine, select

from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.live.places import Place

_KEPT_S = 30.0
_MOST = 200_000


class Whereabouts:
    """Knows where meters are; blocks, and belongs to one thread at a time."""

    def __init__(self, registry: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._monotonic = monotonic
        self._known: dict[str, Place] = {}
        self._forget_at = monotonic() + _KEPT_S

    def of(self, meters: Collection[str]) -> dict[str, Place]:
        """Returns the place of each meter; of one that nobody knows, its name alone."""
        if self._monotonic() >= self._forget_at or len(self._known) > _MOST:
            self._known.clear()
            self._forget_at = self._monotonic() + _KEPT_S
        unknown = sorted(set(meters) - self._known.keys())
        if unknown:
            self._known.update({meter: Place(meter) for meter in unknown})
            with reading(self._registry) as session:
                for names in batched(unknown):
                    query = select(Meter.id, Meter.gateway_id, Meter.area)
                    for meter, gateway, area in session.execute(query.where(Meter.id.in_(names))):
                        self._known[meter] = Place(meter, gateway, area)
        return {meter: self._known[meter] for meter in meters}
