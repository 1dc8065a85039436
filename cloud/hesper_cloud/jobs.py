"""The work of the jobs role: what is done on a schedule (`turns`), and long jobs (`long_jobs`)."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import func, select

from hesper_cloud import keys
from hesper_cloud.access_log import AccessLogKeeping
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.reconcile import Reconciliation
from hesper_cloud.aggregates.work import MARKS_PER_TURN, Work
from hesper_cloud.alerting.keeping import AlertKeeping
from hesper_cloud.archive.keeping import ArchiveKeeping
from hesper_cloud.authority import facts
from hesper_cloud.backup.keeping import BackupKeeping
from hesper_cloud.cleaning import CleanUp
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.delivery.routing import Router
from hesper_cloud.delivery.sending import Sender
from hesper_cloud.delivery.transports import Transports
from hesper_cloud.erasure.carrying_out import Erasures
from hesper_cloud.erasure.remembered import AfterRestore, Remembering
from hesper_cloud.exports.outlet import Outlet
from hesper_cloud.exports.republish import Republish
from hesper_cloud.exports.republish_days import RepublishDays
from hesper_cloud.exports.scheduled import ScheduledExports
from hesper_cloud.gaps import Backfills, GapLedger
from hesper_cloud.gaps.tending import Tending
from hesper_cloud.giving_way import GivesWay
from hesper_cloud.imports.applying import Applying
from hesper_cloud.long_jobs.kinds import Kind
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.long_jobs.scheduled import ScheduledRuns
from hesper_cloud.outages.keeping import OutageKeeping
from hesper_cloud.privacy.collecting import Kept
from hesper_cloud.privacy.exporting import PersonExports
from hesper_cloud.reports.making import Making
from hesper_cloud.reports.schedules import ScheduledReports
from hesper_cloud.reports.tables import Shelves
from hesper_cloud.rules import reverse_energy, voltage
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.rules.gateway_state import GatewayStateRule
from hesper_cloud.rules.inactive import InactiveUse
from hesper_cloud.rules.own_links import is_connected
from hesper_cloud.rules.reconnected import ReconnectedCheck
from hesper_cloud.rules.rounds import Rounds
from hesper_cloud.rules.silence import SilenceRule, Works, nobody_works
from hesper_cloud.rules.sim_data import SimDataRule
from hesper_cloud.rules.standing import clear_of_service
from hesper_cloud.rules.tamper import clear_acknowledged
from hesper_cloud.rules.trials import Trials
from hesper_cloud.service_levels.keeping import ServiceLevels
from hesper_cloud.services.fleet_figures import FleetFigures
from hesper_cloud.services.meter_status import MeterStatus
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.opening import is_ours_alone
from hesper_cloud.turns import DAY_S, HOUR_S, MINUTE_S, Job, keep_turns, perform, to_its_end
from hesper_cloud.worded import worded

SILENCE_EVERY_S = 2.0
GAPS_EVERY_S = 5.0
GATEWAYS_EVERY_S = 15.0
DELIVERY_EVERY_S = 2.0
ARCHIVE_EVERY_S = 600.0
BACKUPS_EVERY_S = 5.0
FIGURES_EVERY_S = 15.0
ERASURES_EVERY_S = 5.0
AFTER_RESTORE_EVERY_S = 600.0
SENDING_AGAIN_EVERY_S = 5.0
VALIDATION_EVERY_S = 10.0
REPUBLISH_EVERY_S = 2.0
SERVICE_LEVELS_EVERY_S = 300.0
OUTAGES_EVERY_S = 2.0
RULES_EVERY_S = 300.0
OTHERS_EVERY_S = 30.0
METER_STATUS_EVERY_S = 30.0
_DAYS_PER_YEAR = 366
_FEWEST_MARKS = 2_000
_KEEP_RUNS_EVERY_S = 5.0
_IDLE_S = 0.5
_PAUSE_SHARE = 0.25
_LEAST_PAUSE_S = 0.01
_METERS_PER_GRACE_S = 20_000
_LONGEST_GRACE_S = 5.0


def jobs(sources: Sources) -> list[Job]:
    """Returns the jobs of this process."""
    settings, engine, clock = sources.settings, sources.registry, sources.clock
    alerts = Alerts(engine, clock)
    alert_keeping = AlertKeeping(engine, settings.alerts, clock)
    figures = FleetFigures(sources)
    outages = OutageKeeping(engine, alerts, sources.latest, clock)
    works = _works(sources)
    silence = SilenceRule(engine, alerts, settings.rules, clock, works, is_connected)
    return [
        Job("silence", SILENCE_EVERY_S, silence.check),
        Job("acknowledged tamper alerts", MINUTE_S, lambda: clear_acknowledged(engine, clock())),
        Job("data of SIM cards", MINUTE_S, SimDataRule(engine, alerts, clock).check),
        Job("state of gateways", GATEWAYS_EVERY_S, GatewayStateRule(engine, alerts, clock).check),
        Job("figures of the fleet", FIGURES_EVERY_S, figures.turn),
        Job("outages", OUTAGES_EVERY_S, outages.turn),
        Job("clean-up of outages", DAY_S, outages.forget),
        Job("alerts", SILENCE_EVERY_S, alert_keeping.turn),
        Job("clean-up of alerts", DAY_S, alert_keeping.forget),
        Job("clean-up of trials", DAY_S, Rounds(engine, alerts, sources.latest, clock).forget),
        Job("meter status", METER_STATUS_EVERY_S, MeterStatus(sources).turn),
        Job("scheduled reports", MINUTE_S, ScheduledReports(engine, clock).turn),
    ]


def delivery_jobs(sources: Sources, sender: Sender) -> list[Job]:
    """Returns the jobs that bring alerts out of the house."""
    settings = sources.settings.delivery
    router = Router(sources.registry, settings, sources.clock, _works(sources))
    return [
        Job("delivery, what goes where", DELIVERY_EVERY_S, router.turn),
        Job("delivery", DELIVERY_EVERY_S, sender.turn),
        Job("clean-up of deliveries", DAY_S, sender.forget),
    ]


def _sender(sources: Sources) -> Sender:
    settings, clock = sources.settings, sources.clock
    ways = Transports(settings, keys.delivery_vault(settings.keys), clock)
    return Sender(sources.registry, settings.delivery, clock, ways)


def _rules(sources: Sources, alerts: Alerts) -> Callable[[], None]:
    """Returns the job that looks at the rules that need history."""
    engine, latest, clock = sources.registry, sources.latest, sources.clock
    turns = (
        Rounds(engine, alerts, latest, clock).turn,
        ReconnectedCheck(engine, sources.authority, alerts, clock).turn,
        InactiveUse(engine, alerts, latest, clock).turn,
        lambda: clear_of_service(engine, alerts, (voltage.RULE, reverse_energy.RULE), clock()),
    )

    def look_at_all() -> None:
        for turn in turns:
            turn()

    return look_at_all


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


def _gap_keeping(sources: Sources, giving_way: GivesWay) -> Callable[[], None]:
    """Returns the job that finds gaps and then asks for them."""
    settings, clock = sources.settings, sources.clock
    ledger = GapLedger(
        *(sources.registry, sources.store, settings.rules, clock),
        profiles=sources.latest.profiles,
        giving_way=giving_way,
        captures=sources.captures,
    )
    engines = (sources.registry, sources.authority)
    backfills = Backfills(engines, sources.store, settings.backfill, clock)

    def check_and_ask() -> None:
        ledger.check()
        backfills.turn()

    return check_and_ask


def slow_jobs(sources: Sources, book: EnergyBook, giving_way: GivesWay) -> list[Job]:
    """Returns jobs that may take minutes; they have a thread of their own."""
    settings = sources.settings
    keeping = BackupKeeping(settings, sources.store, sources.registry, sources.clock)
    remembering = Remembering(sources.registry, settings.backup.folder, sources.clock)
    alerts = Alerts(sources.registry)
    levels = ServiceLevels(
        *(sources.registry, sources.store, settings.service_levels, sources.clock),
        captures=sources.captures,
        giving_way=giving_way,
    )
    outlet, shelf = Outlet(settings.broker), Shelf(sources.registry, sources.store, book)
    republish = Republish(outlet, settings.exports.republish, sources.store, settings.state)
    republish_days = RepublishDays(outlet, settings, shelf, sources.clock)
    tending = Tending(sources.store, alerts, sources.clock, sources.captures)
    others = Job("values of other consumers", OTHERS_EVERY_S, _of_others(sources))
    cleaning = CleanUp(sources.registry, settings, sources.clock, giving_way)
    archive = ArchiveKeeping(
        settings.store.retention, sources.store, sources.registry, sources.clock
    )
    return [
        *([] if is_ours_alone(settings.store) else [others]),
        Job("list of erasures", MINUTE_S, remembering.turn),
        Job("backups", BACKUPS_EVERY_S, keeping.turn),
        Job("clean-up", DAY_S, cleaning.turn),
        Job("rules", RULES_EVERY_S, _rules(sources, alerts)),
        Job("service levels", SERVICE_LEVELS_EVERY_S, levels.turn),
        Job("exports", MINUTE_S, _exports(sources, shelf, alerts).turn),
        Job("republish", REPUBLISH_EVERY_S, republish.turn),
        Job("republish days", REPUBLISH_EVERY_S, republish_days.turn),
        Job("reads of a day", MINUTE_S, FleetFigures(sources).count_reads),
        Job("clean-up of looks at data", DAY_S, _forget_looks(sources)),
        Job("store", MINUTE_S, tending.turn),
        Job("archive", ARCHIVE_EVERY_S, archive.turn),
    ]


def _of_others(sources: Sources) -> Callable[[], None]:
    """Returns the job that brings the latest values that other consumers have stored."""
    return lambda: sources.latest.refresh(sources.store)


def _forget_looks(sources: Sources) -> Callable[[], object]:
    """Returns the job that forgets who looked at data long ago."""
    keeping = AccessLogKeeping(sources.registry, sources.looks)
    days = sources.settings.privacy.access_log_days
    return lambda: keeping.forget(sources.clock() - timedelta(days=days))


def _exports(sources: Sources, shelf: Shelf, alerts: Alerts) -> ScheduledExports:
    def alarm(name: str, reason: str | None) -> None:
        subject = Subject(f"export-{name}")
        if reason is None:
            alerts.clear(subject, at=sources.clock())
        else:
            text = worded("The export {name} fails: {reason}", name=name, reason=reason)
            alerts.raise_(subject, "warning", text, at=sources.clock())

    wanted = sources.settings.exports.scheduled
    return ScheduledExports(sources.registry, shelf, wanted, sources.clock, alarm)


def energy_jobs(sources: Sources, book: EnergyBook, giving_way: GivesWay) -> list[Job]:
    """Returns the jobs that validate readings and keep the energy book.

    Validation takes the fewer marks a turn the busier ingest is: its rests are long then, and
    others wait for its thread.
    """
    settings, clock = sources.settings, sources.clock
    kept = timedelta(days=_DAYS_PER_YEAR * settings.validation.aggregates_years)
    work = Work(sources.registry, sources.store, book, settings, clock, giving_way)
    reconciliation = Reconciliation(
        sources.registry, sources.store, book, settings, clock, giving_way
    )
    return [
        Job("validation", VALIDATION_EVERY_S, lambda: work.turn(_marks(giving_way.busy()))),
        Job("reconciliation", MINUTE_S, reconciliation.turn),
        Job("retention of aggregates", HOUR_S, lambda: book.expire((clock() - kept).date())),
    ]


def _marks(busy: float) -> int:
    return max(_FEWEST_MARKS, int(MARKS_PER_TURN * (1 - busy)))


def long_work(sources: Sources, book: EnergyBook) -> list[Kind]:
    """Returns the kinds of long work that this process can do."""
    engines = (sources.registry, sources.authority)
    shelves = Shelves(*engines, book, sources.settings, sources.clock)
    state = sources.settings.state
    return [
        Applying(sources.registry, state, sources.clock),
        Making(shelves, state),
        Trials(sources.registry, sources.store),
        PersonExports(Kept(*engines, sources.store), state, sources.clock),
    ]


async def run(sources: Sources, busy: Callable[[], float], more: Sequence[Job] = ()) -> None:
    """Runs the jobs, and those that need more than the sources, until cancelled.

    ``busy`` tells the share of its time that ingest works, 0 to 1.
    """
    await asyncio.sleep(await asyncio.to_thread(grace_s, sources))
    book = await asyncio.to_thread(EnergyBook, sources.settings.energy_file)
    runs = ScheduledRuns(sources.registry, sources.clock)
    runner = Runner(sources.registry, long_work(sources, book), sources.clock)
    sender = _sender(sources)
    giving_way = GivesWay(busy)
    works = _lists(sources, book, giving_way)
    works["quick jobs"] += more
    lists = works | {"delivery": delivery_jobs(sources, sender)}
    await asyncio.to_thread(
        runs.forget_others, [job.name for jobs in lists.values() for job in jobs]
    )
    try:
        async with asyncio.TaskGroup() as group:
            for name, listed in lists.items():
                group.create_task(keep_turns(listed, runs, sources.clock, busy), name=name)
            group.create_task(_keep_runs(runs), name="runs of jobs")
            group.create_task(_work_long(runner, busy), name="long jobs")
            try:
                await asyncio.Event().wait()
            finally:
                giving_way.stop()  # who is at work rests no more, and is waited for
    finally:
        await asyncio.to_thread(sender.close)
        book.close()


def grace_s(sources: Sources) -> float:
    """Returns how long the jobs wait at a start, for the pages that were open to come back first.

    All jobs take their first turns then, some of which go through the whole fleet.
    """
    with reading(sources.registry) as session:
        meters = session.scalar(select(func.count()).select_from(Meter)) or 0
    return min(meters / _METERS_PER_GRACE_S, _LONGEST_GRACE_S)


def _lists(sources: Sources, book: EnergyBook, giving_way: GivesWay) -> dict[str, list[Job]]:
    """Returns all scheduled jobs by the thread that they share.

    The first pass of an erasure is made between two looks of the gap ledger, see `Erasures`, the
    last where readings are archived. They may take long, so silence and alerts do not wait for
    them.
    """
    erasures = Erasures(sources, book)
    begin = Job("erasures", ERASURES_EVERY_S, erasures.begin)
    again = Job("erasures after a restore", AFTER_RESTORE_EVERY_S, AfterRestore(sources).turn)
    finish = Job("erasures, second pass", ERASURES_EVERY_S, erasures.finish)
    leave = Job("erasures in the archive", MINUTE_S, erasures.leave_archive)
    return {
        "energy book": [finish, *energy_jobs(sources, book, giving_way)],
        "gap ledger": [again, begin, Job("gaps", GAPS_EVERY_S, _gap_keeping(sources, giving_way))],
        "quick jobs": jobs(sources),
        "slow jobs": [*slow_jobs(sources, book, giving_way), leave],
    }


async def _keep_runs(runs: ScheduledRuns) -> None:
    keeping = Job("runs of jobs", _KEEP_RUNS_EVERY_S, runs.keep)
    while True:
        await asyncio.sleep(keeping.every_s)
        await to_its_end(partial(perform, keeping))


async def _work_long(runner: Runner, busy: Callable[[], float]) -> None:
    """Works long jobs, and gives way to ingest: the busier it is, the longer the pauses."""
    while True:
        begun = time.monotonic()
        moved = await to_its_end(runner.turn)
        spent_s = time.monotonic() - begun
        pause_s = max(_LEAST_PAUSE_S, spent_s * max(_PAUSE_SHARE, busy()))
        await asyncio.sleep(pause_s if moved else _IDLE_S)
