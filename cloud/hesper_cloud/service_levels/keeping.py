"""Keeps the figures of the last days true."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import ServiceLevelDay
from hesper_cloud.gaps.captures import Captures
from hesper_cloud.giving_way import NO_RESTS, GivesWay
from hesper_cloud.job_settings import ServiceLevel, ServiceLevelSettings
from hesper_cloud.service_levels.counting import Arrived, MeterDay, Owing, meter_days, owing
from hesper_cloud.service_levels.days import Day
from hesper_cloud.stores.port import Arrivals, ReadingStore

METERS_AT_ONCE = 1000
_DAY = timedelta(days=1)
_SELDOM = timedelta(hours=6)


def stored(store: ReadingStore, profile: str, span: tuple[int, int]) -> Arrived:
    """Returns what asks the store of meters' captures of a day."""
    return lambda meters: store.arrivals(profile, *span, meters)


def deadline_of(level: ServiceLevel, day: Day) -> datetime:
    """Returns until when what is due on a day may be stored."""
    return day.end + timedelta(hours=level.within_hours)


class ServiceLevels:
    """Computes levels; `turn` is called by the jobs.

    ``captures`` are those that are known to be stored; where they are, the store is asked only of
    days on which a deadline is over.
    """

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        settings: ServiceLevelSettings,
        clock: Callable[[], datetime],
        captures: Captures | None = None,
        giving_way: GivesWay = NO_RESTS,
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._zone = ZoneInfo(settings.zone)
        self._clock = clock
        self._captures = captures
        self._giving_way = giving_way
        self._messages = _Messages()

    def turn(self) -> None:
        """Computes the days that may still change, and counts the messages since the last turn."""
        now = self._clock()
        today = Day.at(now, self._zone)
        for past in range(self._settings.look_back_days, -1, -1):
            self._compute(Day.of(today.on - past * _DAY, self._zone), now)
        self._count_messages(today, now)

    def _compute(self, day: Day, now: datetime) -> None:
        with reading(self._engine) as session:
            levels: dict[str, list[ServiceLevel]] = defaultdict(list)
            for level in self._settings.levels:
                if level.kind != "messages" and _may_change(session, level, day, now):
                    levels[level.profile].append(level)
            owed = {profile: owing(session, profile, day.span) for profile in levels}
        figures: dict[str, tuple[int, int]] = {}
        for profile, wanted in levels.items():
            figures |= self._figures(profile, wanted, owed[profile], day, now)
        with writing(self._engine) as session:
            for name, (due, met) in figures.items():
                session.merge(
                    ServiceLevelDay(
                        level=name, day=day.start, due_count=due, met_count=met, computed_at=now
                    )
                )

    def _figures(
        self,
        profile: str,
        levels: Sequence[ServiceLevel],
        owed: Sequence[Owing],
        day: Day,
        now: datetime,
    ) -> dict[str, tuple[int, int]]:
        """Returns due and met of each level, the fleet in portions."""
        figures = {level.name: (0, 0) for level in levels}
        arrived = stored(self._store, profile, day.span)
        if self._captures and all(now <= deadline_of(level, day) for level in levels):
            arrived = _in_time(self._captures, profile, (day, now), arrived)
        for some in self._giving_way.portions(batched(owed, METERS_AT_ONCE)):
            days = list(meter_days(some, arrived, day.span, int(now.timestamp())))
            for level in levels:
                due, met = _figure(level, day, days)
                before = figures[level.name]
                figures[level.name] = before[0] + due, before[1] + met
        return figures

    def _count_messages(self, today: Day, now: datetime) -> None:
        stored, refused = self._messages.since_last()
        names = [level.name for level in self._settings.levels if level.kind == "messages"]
        if not (stored or refused):
            return
        with writing(self._engine) as session:
            for name in names:
                row = session.get(ServiceLevelDay, (name, today.start))
                if row is None:
                    row = ServiceLevelDay(level=name, day=today.start, due_count=0, met_count=0)
                    session.add(row)
                row.due_count += stored + refused
                row.met_count += stored
                row.computed_at = now


def _in_time(
    captures: Captures, profile: str, of: tuple[Day, datetime], otherwise: Arrived
) -> Arrived:
    """Returns what is known to be stored: while no deadline is over, all of it is in time."""
    (start, day_end), now = of[0].span, int(of[1].timestamp())

    def arrived(meters: Sequence[str]) -> Mapping[str, Arrivals]:
        known = captures.known(profile, meters, start, min(day_end, now + 1))
        if known is None:
            return otherwise(meters)
        return {meter: Arrivals(at, np.ones_like(at)) for meter, at in known.items()}

    return arrived


class _Messages:
    """How many batches were receipted as stored and as rejected since it was last asked."""

    def __init__(self) -> None:
        self._before = self._counts()

    def since_last(self) -> tuple[int, int]:
        counts = self._counts()
        grown = {verdict: counts[verdict] - self._before.get(verdict, 0) for verdict in counts}
        self._before = counts
        return grown.get("stored", 0), grown.get("rejected", 0)

    @staticmethod
    def _counts() -> dict[str, int]:
        samples = (sample for metric in metrics.RECEIPTS.collect() for sample in metric.samples)
        return {
            sample.labels["verdict"]: int(sample.value)
            for sample in samples
            if sample.name.endswith("_total")
        }


def _figure(level: ServiceLevel, day: Day, days: list[MeterDay]) -> tuple[int, int]:
    deadline = int(deadline_of(level, day).timestamp())
    met = [each.met(deadline) for each in days]
    if level.kind == "captures":
        return sum(each.due for each in days), sum(met)
    return len(days), sum(count == each.due for count, each in zip(met, days, strict=True))


def _may_change(session: Session, level: ServiceLevel, day: Day, now: datetime) -> bool:
    """Says whether a figure is to be computed again.

    After its deadline only what is erased changes it, or learned of a meter: it is looked at some
    times more, and then left. What a clock that was ahead computed was computed too early.
    """
    row, deadline = session.get(ServiceLevelDay, (level.name, day.start)), deadline_of(level, day)
    if row is None or row.computed_at < deadline or row.computed_at > now:
        return True
    return row.computed_at < deadline + _DAY and now >= row.computed_at + _SELDOM
