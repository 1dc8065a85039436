"""Service levels as operators and contract partners see them."""

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import ServiceLevelDay
from hesper_cloud.job_settings import ServiceLevel
from hesper_cloud.service_levels.days import Day
from hesper_cloud.service_levels.keeping import deadline_of
from hesper_cloud.service_levels.misses import Miss, misses
from hesper_cloud.services.errors import Invalid, NotFound
from hesper_cloud.services.scope import require_everywhere, seen_meters
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

_MOST_DAYS = 400
_YEARS = range(1970, 9999)


@dataclass(frozen=True, slots=True)
class LevelDay:
    """What one level reached on one day; ``final`` when its deadline has passed."""

    level: str
    kind: str  # captures | days | messages
    day: date
    due: int
    met: int
    percent: float | None
    target_percent: float
    reached: bool | None
    final: bool
    computed_at: datetime


class Levels:
    """Reads the figures, and counts the misses of a day anew when it is asked for them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._zone = ZoneInfo(sources.settings.service_levels.zone)
        self._levels = {level.name: level for level in sources.settings.service_levels.levels}

    def today(self) -> date:
        """Returns the day that it is where the levels' days begin."""
        return Day.at(self._sources.clock(), self._zone).on

    async def days(
        self, actor: Actor, name: str | None, first: date | None, last: date | None
    ) -> list[LevelDay]:
        """Returns figures by day, newest first; by default of the last week and of all levels."""
        require(actor, Permission.READ)
        require_everywhere(actor, "a level of the whole fleet")
        if name is not None:
            self._level(name)
        today = self.today()
        start, end = first or today - timedelta(days=7), last or today
        if not 0 <= (end - start).days <= _MOST_DAYS:
            raise Invalid(worded("a range of 0 to {most_days} days", most_days=_MOST_DAYS))
        _check_years(start, end)
        return await asyncio.to_thread(self._days, name, start, end)

    async def misses(self, actor: Actor, name: str, day: date) -> list[Miss]:
        """Returns the meters that missed a level on a day, with cause and hop, worst first."""
        require(actor, Permission.READ)
        level = self._level(name)
        _check_years(day)
        if level.kind == "messages":
            raise Invalid("messages are not counted by meter; see the dead letters")

        def count() -> list[Miss]:
            with reading(self._sources.registry) as session:
                of = Day.of(day, self._zone)
                return misses(session, self._sources.store, level, of, self._sources.clock())

        found = await asyncio.to_thread(count)
        meters = [miss.meter for miss in found]
        seen = await asyncio.to_thread(seen_meters, self._sources.registry, actor, meters)
        return [miss for miss in found if miss.meter in seen]

    def _level(self, name: str) -> ServiceLevel:
        if name not in self._levels:
            raise NotFound(worded("there is no service level {name}", name=name))
        return self._levels[name]

    def _days(self, name: str | None, first: date, last: date) -> list[LevelDay]:
        """Reads figures; days that were counted in another zone, before a change, are left out."""
        start, end = Day.of(first, self._zone).start, Day.of(last, self._zone).start
        query = select(ServiceLevelDay).where(
            ServiceLevelDay.day >= start, ServiceLevelDay.day <= end
        )
        if name is not None:
            query = query.where(ServiceLevelDay.level == name)
        ordered = query.order_by(ServiceLevelDay.day.desc(), ServiceLevelDay.level)
        with reading(self._sources.registry) as session:
            rows = [(row, Day.at(row.day, self._zone)) for row in session.scalars(ordered)]
        return [
            self._row(row, day)
            for row, day in rows
            if row.level in self._levels and row.day == day.start
        ]

    def _row(self, row: ServiceLevelDay, day: Day) -> LevelDay:
        level = self._levels[row.level]
        percent = 100.0 * row.met_count / row.due_count if row.due_count else None
        return LevelDay(
            level=row.level,
            kind=level.kind,
            day=day.on,
            due=row.due_count,
            met=row.met_count,
            percent=percent,
            target_percent=level.target_percent,
            reached=None if percent is None else percent >= level.target_percent,
            final=self._sources.clock() >= deadline_of(level, day),
            computed_at=row.computed_at,
        )


def _check_years(*days: date) -> None:
    """Refuses days at the ends of the calendar, whose neighbours have no name."""
    if any(day.year not in _YEARS for day in days):
        raise Invalid(
            worded("a day of the years {start} to {stop}", start=_YEARS.start, stop=_YEARS.stop - 1)
        )
