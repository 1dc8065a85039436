"""Work on a schedule: silence, the gap ledger, alerts that age, metrics.

`Schedule` is pure, with the clock given to it; `run` drives it in the process, each job in a
thread. A job whose database or store is unavailable is tried again at its next turn. In a large
fleet a job takes long: then its turns come so seldom that it takes a tenth of the time at most,
because ingest and web share the interpreter with it. It is a tenth of the time that ingest leaves:
while a backlog drains, and what is missing is on its way anyway, a job gets a fiftieth.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.reconcile import Reconciliation
from hesper_cloud.aggregates.work import MARKS_PER_TURN, Work
from hesper_cloud.authority import facts
from hesper_cloud.backup.keeping import BackupKeeping
from hesper_cloud.db.engines import reading
from hesper_cloud.erasure.carrying_out import Erasures
from hesper_cloud.exports.outlet import Outlet
from hesper_cloud.exports.republish import Republish
from hesper_cloud.exports.republish_days import RepublishDays
from hesper_cloud.exports.scheduled import ScheduledExports
from hesper_cloud.gaps import Backfills, GapLedger
from hesper_cloud.ingest.stages import stage
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.rules.certificates import CertificateRule
from hesper_cloud.rules.silence import SilenceRule, Works, nobody_works
from hesper_cloud.rules.store_faults import tend
from hesper_cloud.rules.tamper import clear_acknowledged
from hesper_cloud.service_levels.keeping import ServiceLevels
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.port import StoreError

log = logging.getLogger(__name__)

SILENCE_EVERY_S = 2.0
GAPS_EVERY_S = 5.0
BACKUPS_EVERY_S = 5.0
ERASURES_EVERY_S = 5.0
SENDING_AGAIN_EVERY_S = 5.0
VALIDATION_EVERY_S = 10.0
REPUBLISH_EVERY_S = 2.0
MINUTE_S = 60.0
SERVICE_LEVELS_EVERY_S = 300.0
HOUR_S = 3600.0
_DAYS_PER_YEAR = 366
_TICK_S = 0.5
_FEWEST_MARKS = 2_000
_SHARE = 0.1
_SHARE_UNDER_LOAD = 0.02
_LONGEST_WAIT_FOR_INGEST_S = HOUR_S


@dataclass(frozen=True, slots=True)
class Job:
    """Something done every so often; `action` blocks."""

    name: str
    every_s: float
    action: Callable[[], object]


class Schedule:
    """Says which jobs are due."""

    def __init__(self, jobs: list[Job], now: datetime) -> None:
        self._jobs = jobs
        self._next_at = {job.name: now for job in jobs}

    def due(self, now: datetime) -> list[Job]:
        """Returns the jobs whose time has come, and plans their next turn."""
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
        wanted_s = _pause_s(spent_s, max(_SHARE_UNDER_LOAD, _SHARE * (1 - busy)))
        pause = timedelta(seconds=max(usual_s, min(wanted_s, _LONGEST_WAIT_FOR_INGEST_S)))
        self._next_at[job.name] = max(self._next_at[job.name], now + pause)


def _pause_s(spent_s: float, share: float) -> float:
    """Returns the pause after which a job has taken a share of the time."""
    return spent_s * (1 / share - 1)


def jobs(sources: Sources) -> list[Job]:
    """Returns the jobs of this process."""
    settings, engine, clock = sources.settings, sources.registry, sources.clock
    alerts = Alerts(engine)
    certificates = CertificateRule(settings, sources.authority, alerts, clock)
    silence = SilenceRule(engine, alerts, settings.rules, clock, _works(sources))
    return [
        Job("silence", SILENCE_EVERY_S, silence.check),
        Job("gaps", GAPS_EVERY_S, _gap_keeping(sources)),
        Job("acknowledged tamper alerts", MINUTE_S, lambda: clear_acknowledged(engine, clock())),
        Job("certificates", MINUTE_S, certificates.check),
        Job("metrics", SILENCE_EVERY_S, alerts.measure),
    ]


def _works(sources: Sources) -> Works:
    """Returns what says by the policy where people work."""

    def at(now: datetime) -> Callable[[str | None], bool]:
        with reading(sources.authority) as session:
            try:
                policy = facts.active_policy(session)
            except facts.NoPolicy:
                return nobody_works(now)
        return lambda gateway: policy.maintained(gateway, now) is not None

    return at


def _gap_keeping(sources: Sources) -> Callable[[], None]:
    """Returns the job that finds gaps and then asks for them."""
    settings, clock = sources.settings, sources.clock
    ledger = GapLedger(
        sources.registry, sources.store, settings.rules, clock, sources.latest.profiles
    )
    engines = (sources.registry, sources.authority)
    backfills = Backfills(engines, sources.store, settings.backfill, clock)

    def check_and_ask() -> None:
        ledger.check()
        backfills.turn()

    return check_and_ask


def slow_jobs(sources: Sources, book: EnergyBook) -> list[Job]:
    """Returns jobs that may take minutes; they have a thread of their own."""
    settings = sources.settings
    keeping = BackupKeeping(settings, sources.store, sources.registry, sources.clock)
    alerts = Alerts(sources.registry)
    levels = ServiceLevels(
        sources.registry, sources.store, sources.settings.service_levels, sources.clock
    )
    outlet, shelf = Outlet(settings.broker), Shelf(sources.registry, sources.store, book)
    republish = Republish(outlet, settings.exports.republish, sources.store, settings.state)
    republish_days = RepublishDays(outlet, settings, shelf, sources.clock)
    return [
        Job("backups", BACKUPS_EVERY_S, keeping.turn),
        Job("service levels", SERVICE_LEVELS_EVERY_S, levels.turn),
        Job("exports", MINUTE_S, _exports(sources, shelf, alerts).turn),
        Job("republish", REPUBLISH_EVERY_S, republish.turn),
        Job("republish days", REPUBLISH_EVERY_S, republish_days.turn),
        Job("store", MINUTE_S, lambda: tend(sources.store, alerts, sources.clock())),
    ]


def _exports(sources: Sources, shelf: Shelf, alerts: Alerts) -> ScheduledExports:
    def alarm(name: str, reason: str | None) -> None:
        subject = Subject(f"export-{name}")
        if reason is None:
            alerts.clear(subject, at=sources.clock())
        else:
            text = f"The export {name} fails: {reason}"
            alerts.raise_(subject, "warning", text, at=sources.clock())

    wanted = sources.settings.exports.scheduled
    return ScheduledExports(sources.registry, shelf, wanted, sources.clock, alarm)


def energy_jobs(sources: Sources, book: EnergyBook, busy: Callable[[], float]) -> list[Job]:
    """Returns the jobs that validate readings and keep the energy book.

    Validation takes its marks in smaller portions the busier ingest is, so that it never works for
    seconds beside it.
    """
    settings, clock = sources.settings, sources.clock
    kept = timedelta(days=_DAYS_PER_YEAR * settings.validation.aggregates_years)
    work = Work(sources.registry, sources.store, book, settings, clock)
    reconciliation = Reconciliation(sources.registry, sources.store, book, settings, clock)
    return [
        Job("validation", VALIDATION_EVERY_S, lambda: work.turn(_marks(busy()))),
        Job("reconciliation", MINUTE_S, reconciliation.turn),
        Job("retention of aggregates", HOUR_S, lambda: book.expire((clock() - kept).date())),
    ]


def _marks(busy: float) -> int:
    return max(_FEWEST_MARKS, int(MARKS_PER_TURN * (1 - busy)))


async def run(sources: Sources, busy: Callable[[], float], more: Sequence[Job] = ()) -> None:
    """Runs the jobs, and those that need more than the sources, until cancelled.

    ``busy`` tells the share of its time that ingest works, 0 to 1.
    """
    book = await asyncio.to_thread(EnergyBook, sources.settings.energy_file)
    erasures = Erasures(sources, book)
    begin = Job("erasures", ERASURES_EVERY_S, erasures.begin)
    finish = Job("erasures, second pass", ERASURES_EVERY_S, erasures.finish)
    try:
        async with asyncio.TaskGroup() as group:
            for name, listed in {
                "energy book": [finish, *energy_jobs(sources, book, busy)],
                "quick jobs": [begin, *jobs(sources), *more],
                "slow jobs": slow_jobs(sources, book),
            }.items():
                group.create_task(_keep(listed, sources.clock, busy), name=name)
    finally:
        book.close()


async def _keep(
    listed: list[Job], clock: Callable[[], datetime], busy: Callable[[], float]
) -> None:
    schedule = Schedule(listed, clock())
    while True:
        for job in schedule.due(clock()):
            begun = time.monotonic()
            await asyncio.to_thread(perform, job)
            schedule.took(job, clock(), time.monotonic() - begun, busy())
        await asyncio.sleep(_TICK_S)


def perform(job: Job) -> None:
    """Performs one job; what is unavailable now is tried again at the job's next turn."""
    try:
        with stage(f"job {job.name}"):
            job.action()
    except (SQLAlchemyError, StoreError) as error:
        log.warning("job %r put off: %s", job.name, error)
