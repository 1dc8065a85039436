"""What a meter, an area, a gateway or everybody took, as the energy book has it."""

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.aggregates.consumption import Consumption, GroupStep, consumption
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.services import scope
from hesper_cloud.services.errors import Invalid, NotFound
from hesper_cloud.services.looking import looked_at, looked_at_all
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

LONGEST = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class ConsumptionQuery:
    """Whose consumption, of which register, from which local day to which, both included."""

    logical_name: str
    first: date
    last: date
    step: GroupStep = "day"
    meter: str | None = None
    area: str | None = None
    gateway: str | None = None


class ConsumptionOf:
    """Adds up the energy book for those that the actor sees."""

    def __init__(self, sources: Sources, shelf: Shelf) -> None:
        self._sources = sources
        self._shelf = shelf

    async def rows(self, actor: Actor, query: ConsumptionQuery) -> list[Consumption]:
        """Returns what was taken per step.

        Raises:
            Invalid: the range is none, or longer than ten years.
            NotFound: there is no such meter or area for this actor.
        """
        require(actor, Permission.READ)
        if not timedelta(0) <= query.last - query.first <= LONGEST:
            raise Invalid(worded("from is before to, and at most {days} days", days=LONGEST.days))
        if query.area is not None and not actor.sees(query.area):
            raise NotFound(worded("there is no area {area}", area=query.area))
        if query.meter is not None:
            await scope.check_meter(self._sources.registry, actor, query.meter)
            looked_at(self._sources, actor, "consumption", query.meter)
        else:
            looked_at_all(self._sources, actor, "consumption")
        return await asyncio.to_thread(self._rows, actor, query)

    def _rows(self, actor: Actor, query: ConsumptionQuery) -> list[Consumption]:
        span = (query.logical_name, query.first, query.last, query.step)
        return consumption(self._shelf.book, self._meters(actor, query), *span)

    def _meters(self, actor: Actor, query: ConsumptionQuery) -> list[str] | None:
        narrow = (query.meter, query.area, query.gateway) != (None, None, None)
        if not narrow and actor.areas is None:
            return None
        wanted = scope.narrowed(select(Meter.id), actor)
        for column, value in (
            (Meter.id, query.meter),
            (Meter.area, query.area),
            (Meter.gateway_id, query.gateway),
        ):
            if value is not None:
                wanted = wanted.where(column == value)
        with reading(self._sources.registry) as session:
            return list(session.scalars(wanted))
