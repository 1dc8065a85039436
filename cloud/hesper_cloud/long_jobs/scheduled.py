"""How the jobs on a schedule fare: remembered at once, written down every few seconds.

Some of them run every two seconds; a transaction for each would be most of what the registry does.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import ScheduledRun


@dataclass(slots=True)
class _News:
    """What happened to one job since it was last written down."""

    every_s: float
    begun_at: datetime
    ended_at: datetime | None = None
    seconds: float | None = None
    next_at: datetime | None = None
    problem: str | None = None
    failed_at: datetime | None = None
    runs: int = 0
    failures: int = 0


class ScheduledRuns:
    """Told of every run by whichever thread it is in."""

    def __init__(self, registry: Engine, clock: Callable[[], datetime]) -> None:
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        self._news: dict[str, _News] = {}

    def last_begun(self) -> dict[str, datetime]:
        """Returns when each job last began, before a restart included."""
        with reading(self._registry) as session:
            return {row.name: row.begun_at for row in session.scalars(select(ScheduledRun))}

    def forget_others(self, names: Iterable[str]) -> None:
        """Forgets jobs that this version has no more."""
        with writing(self._registry) as session:
            session.execute(delete(ScheduledRun).where(ScheduledRun.name.not_in(list(names))))

    def began(self, name: str, every_s: float) -> None:
        """Notes that a run begins."""
        with self._lock:
            news = self._news.setdefault(name, _News(every_s, self._clock()))
            news.begun_at, news.ended_at, news.next_at = self._clock(), None, None

    def ended(self, name: str, seconds: float, problem: str | None, next_at: datetime) -> None:
        """Notes how the run that began last went, and when the next one is due."""
        with self._lock:
            news, at = self._news[name], self._clock()
            news.ended_at, news.seconds, news.next_at = at, seconds, next_at
            news.runs += 1
            if problem is not None:
                news.problem, news.failed_at = problem, at
                news.failures += 1

    def keep(self) -> None:
        """Writes down what is new."""
        with self._lock:
            news, self._news = (
                self._news,
                {
                    name: _News(each.every_s, each.begun_at)
                    for name, each in self._news.items()
                    if each.ended_at is None
                },
            )
        if news:
            with writing(self._registry) as session:
                for name, each in news.items():
                    _write(session, name, each)


def _write(session: Session, name: str, news: _News) -> None:
    row = session.get(ScheduledRun, name)
    if row is None:
        row = ScheduledRun(name=name, run_count=0, failure_count=0)
        session.add(row)
    row.every_s, row.begun_at = news.every_s, news.begun_at
    row.run_count += news.runs
    row.failure_count += news.failures
    if news.seconds is not None:
        row.seconds = news.seconds
    if news.ended_at is not None:
        row.ended_at = news.ended_at
    row.next_at = news.next_at
    if news.failed_at is not None:
        row.problem, row.problem_at = news.problem, news.failed_at
