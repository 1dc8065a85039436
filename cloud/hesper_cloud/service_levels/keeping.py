"""Keeps the figures of the last days true."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import ServiceLevelDay
from hesper_cloud.job_settings import ServiceLevel, ServiceLevelSettings
from hesper_cloud.service_levels.counting import MeterDay, meter_days
from hesper_cloud.service_levels.days import Day
from hesper_cloud.stores.port import ReadingStore

_DAY = timedelta(days=1)


def deadline_of(level: ServiceLevel, day: Day) -> datetime:
    """Returns until when what is due on a day may be stored."""
    return day.end + timedelta(hours=level.within_hours)


class ServiceLevels:
    """Computes levels; `turn` is called by the jobs."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        settings: ServiceLevelSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._zone = ZoneInfo(settings.zone)
        self._clock = clock
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
                if level.kind != "messages" and not _is_final(session, level, day):
                    levels[level.profile].append(level)
            figures: dict[str, tuple[int, int]] = {}
            for profile, wanted in levels.items():
                seconds = int(now.timestamp())
                days = list(meter_days(session, self._store, profile, day.span, seconds))
                figures |= {level.name: _figure(level, day, days) for level in wanted}
        with writing(self._engine) as session:
            for name, (due, met) in figures.items():
                session.merge(
                    ServiceLevelDay(
                        level=name, day=day.start, due_count=due, met_count=met, computed_at=now
                    )
                )

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


def _is_final(session: Session, level: ServiceLevel, day: Day) -> bool:
    row = session.get(ServiceLevelDay, (level.name, day.start))
    grace = _DAY  # what was stored in time may have been erased or revised
    return row is not None and row.computed_at >= deadline_of(level, day) + grace
