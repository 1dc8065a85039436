"""Work on a schedule, turn by turn.

`Schedule` is pure, with the clock given to it; `keep_turns` drives it in the process, each job in a
thread. A job whose database or store is unavailable, or that a fault ended, is tried again at its
next turn. In a large fleet a job takes long: then its turns come so seldom that it takes a tenth of
the time at most, because ingest and web share the interpreter with it. It is a tenth of the time
that ingest leaves: while a backlog drains, and what is missing is on its way anyway, a job gets a
fiftieth. A job that comes once in hours keeps its distance over a restart.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import metrics
from hesper_cloud.giving_way import LEAST_SHARE, rested_s
from hesper_cloud.ingest.stages import stage
from hesper_cloud.long_jobs.scheduled import ScheduledRuns
from hesper_cloud.putting_off import PuttingOff
from hesper_cloud.stores.port import StoreError

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
_TICK_S = 0.5
_SHARE = 0.1
_LONGEST_WAIT_FOR_INGEST_S = HOUR_S
_SELDOM_S = 2 * HOUR_S
_ENDS_WITHIN_S = 30.0  # half of what the service manager lets a stop take

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """Something done every so often; `action` blocks."""

    name: str
    every_s: float
    action: Callable[[], object]
    putting_off: PuttingOff = field(default_factory=PuttingOff, compare=False)


class Schedule:
    """Says which jobs are due."""

    def __init__(
        self, jobs: Sequence[Job], now: datetime, last: Mapping[str, datetime] | None = None
    ) -> None:
        """Plans the first turns: at once, but a seldom job not too soon after its ``last``."""
        self._jobs = jobs
        self._asked_at = now
        self._next_at = {job.name: now for job in jobs}
        for job in jobs:
            if job.every_s >= _SELDOM_S and last and job.name in last:
                self._next_at[job.name] = min(last[job.name], now) + timedelta(seconds=job.every_s)

    def due(self, now: datetime) -> list[Job]:
        """Returns the jobs whose time has come, and plans their next turn.

        Where the clock was set back, the plans go back with it: no job waits until it is as late
        again.
        """
        if now < self._asked_at:
            back = self._asked_at - now
            self._next_at = {name: at - back for name, at in self._next_at.items()}
        self._asked_at = now
        due = [job for job in self._jobs if self._next_at[job.name] <= now]
        for job in due:
            self._next_at[job.name] = now + timedelta(seconds=job.every_s)
        return due

    def took(self, job: Job, now: datetime, spent_s: float, busy: float = 0.0) -> None:
        """Puts a job's next turn off as far as its last one was long.

        Args:
            job: What took its turn.
            now: When that ended.
            spent_s: How long it was.
            busy: The share of its time, 0 to 1, that ingest works.
        """
        usual_s = _pause_s(spent_s, _SHARE)
        wanted_s = _pause_s(spent_s, max(LEAST_SHARE, _SHARE * (1 - busy)))
        pause = timedelta(seconds=max(usual_s, min(wanted_s, _LONGEST_WAIT_FOR_INGEST_S)))
        self._next_at[job.name] = max(self._next_at[job.name], now + pause)

    def next_at(self, job: Job) -> datetime:
        """Returns when a job's next turn is."""
        return self._next_at[job.name]


def _pause_s(spent_s: float, share: float) -> float:
    """Returns the pause after which a job has taken a share of the time."""
    return spent_s * (1 / share - 1)


async def keep_turns(
    listed: Sequence[Job],
    runs: ScheduledRuns,
    clock: Callable[[], datetime],
    busy: Callable[[], float],
) -> None:
    """Gives each of some jobs its turns, one after the other, until cancelled.

    The end that monitoring waits for counts from here: a job that hangs, or never ends well, after
    a start has no end of its own to be late against.
    """
    for job in listed:
        metrics.JOB_ENDED.labels(job.name).set(clock().timestamp())
    schedule = Schedule(listed, clock(), await asyncio.to_thread(runs.last_begun))
    while True:
        for job in schedule.due(clock()):
            runs.began(job.name, job.every_s)
            problem, spent_s = await to_its_end(partial(_timed, job))
            schedule.took(job, clock(), spent_s, busy())
            runs.ended(job.name, spent_s, problem, schedule.next_at(job))
        await asyncio.sleep(_TICK_S)


async def to_its_end(work: Callable[[], T]) -> T:
    """Works in a thread; who is cancelled meanwhile waits for it, for half a minute at most.

    What a thread does cannot be broken off: it would find database and store closed, and tell of
    faults that are none.
    """
    at_work = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(at_work)
    except asyncio.CancelledError:
        await asyncio.wait([at_work], timeout=_ENDS_WITHIN_S)
        raise


def _timed(job: Job) -> tuple[str | None, float]:
    """Performs a job; says what went wrong, and how many seconds it worked: rests do not count."""
    begun, rested_before = time.monotonic(), rested_s.get()
    problem = perform(job)
    return problem, time.monotonic() - begun - (rested_s.get() - rested_before)


def perform(job: Job) -> str | None:
    """Performs one job; a failure is told and counted, and the job tried again at its next turn."""
    what = f"job {job.name!r}"
    try:
        with stage(f"job {job.name}"):
            job.action()
    except (SQLAlchemyError, StoreError) as error:
        _count(job, "put off", error)
        job.putting_off.because(what, error)
        return f"put off: {error}"
    except Exception as error:  # noqa: BLE001 - a job's fault must not end the whole process
        _count(job, "failed", error)
        job.putting_off.because(what, error, logging.ERROR, traced=True)
        return f"failed: {type(error).__name__}: {error}"
    job.putting_off.over(what)
    metrics.JOB_RUNS.labels(job.name, "done").inc()
    metrics.JOB_ENDED.labels(job.name).set_to_current_time()
    return None


def _count(job: Job, outcome: str, error: Exception) -> None:
    metrics.JOB_RUNS.labels(job.name, outcome).inc()
    metrics.ERRORS.labels(f"job {job.name}", type(error).__name__).inc()
