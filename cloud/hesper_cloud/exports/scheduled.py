"""Exports by schedule: one window of readings after another, failed ones tried again.

Windows are aligned to the epoch and follow each other without a hole: the next begins where the
last one ended, also when the head end was down in between. A window is exported some hours after
its end, when late readings have come; what comes later still is in the change feed. A window that
fails holds the next one up for some tries; after them it is left behind, tried again when no other
is due, at the latest a day after, and alarmed until it is out. What a clock that was ahead exported
before its time is forgotten once the clock is right, and exported again when it is due.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from hesper_cloud.db.archive import archived_before
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import DataAccess, ExportRun
from hesper_cloud.exports.running import Source, Wanted, export
from hesper_cloud.exports.targets import TargetError, shown
from hesper_cloud.job_settings import ScheduledExport
from hesper_cloud.stores.port import StoreError

_LONGEST_PAUSE_S = 86_400
Alarm = Callable[[str, str | None], None]
"""Told the name of an export and why it fails; None when it works again."""


class ScheduledExports:
    """Runs what is due; `turn` blocks as long as the exports take."""

    def __init__(
        self,
        engine: Engine,
        source: Source,
        exports: tuple[ScheduledExport, ...],
        clock: Callable[[], datetime],
        alarm: Alarm,
    ) -> None:
        self._engine = engine
        self._source = source
        self._exports = exports
        self._clock = clock
        self._alarm = alarm

    def turn(self) -> None:
        """Runs one window of every export that is due."""
        for wanted in self._exports:
            run_id = self._due(wanted)
            if run_id is not None:
                self._run(wanted, run_id)

    def _due(self, wanted: ScheduledExport) -> int | None:
        """Returns the row of a run that is to be made now: new, tried again, or left behind."""
        now, every = self._clock(), timedelta(hours=wanted.every_hours)
        delay = timedelta(hours=wanted.delay_hours)
        query = select(ExportRun).where(ExportRun.name == wanted.name).order_by(ExportRun.to_at)
        with writing(self._engine) as session:
            _forget_early(session, wanted.name, now, now - delay)
            for cut_off in session.scalars(query.where(ExportRun.state == "running")):
                cut_off.state, cut_off.reason = "failed", "the head end was stopped"
                cut_off.next_try_at = now
            newest = query.order_by(None).order_by(ExportRun.to_at.desc())
            last = session.scalars(newest.limit(1)).first()
            if last is not None and last.state == "failed" and last.tries < wanted.tries:
                return last.id if _may_be_tried(last, now) else None
            start = last.to_at if last else _first_start(now, wanted, every)
            if now < start + every + delay:
                failed = session.scalars(query.where(ExportRun.state == "failed"))
                return next((run.id for run in failed if _may_be_tried(run, now)), None)
            run = ExportRun(name=wanted.name, from_at=start, to_at=start + every, tries=0)
            run.state, run.started_at, run.target = "running", now, shown(wanted.target)
            session.add(run)
            session.flush()
            return run.id

    def _run(self, wanted: ScheduledExport, run_id: int) -> None:
        with writing(self._engine) as session:
            run = session.get_one(ExportRun, run_id)
            run.state, run.tries, run.started_at = "running", run.tries + 1, self._clock()
            start, end = int(run.from_at.timestamp()), int(run.to_at.timestamp())
            session.add(_look(wanted.name, run))
        reason, count = None, 0
        try:
            self._require_whole(start)
            readings = Wanted(wanted.format, wanted.profile, start, end, validated=wanted.validated)
            count = export(self._source, readings, wanted.target).readings
        except (StoreError, TargetError) as error:
            reason = str(error)
        self._settle(wanted, run_id, count, reason)
        self._alarm(wanted.name, self._left(wanted.name))

    def _require_whole(self, start: int) -> None:
        left = archived_before(self._engine)
        if start < left:
            day = f"{datetime.fromtimestamp(left, UTC):%F}"
            raise TargetError(f"readings before {day} are in the archive, not in the store")

    def _left(self, name: str) -> str | None:
        """Returns which window is not out yet, the oldest, and why."""
        failed = (ExportRun.name == name) & (ExportRun.state == "failed")
        query = select(ExportRun).where(failed).order_by(ExportRun.to_at).limit(1)
        with reading(self._engine) as session:
            run = session.scalars(query).first()
            return (
                None if run is None else f"{run.from_at:%F %R} to {run.to_at:%F %R}: {run.reason}"
            )

    def _settle(self, wanted: ScheduledExport, run_id: int, count: int, reason: str | None) -> None:
        now = self._clock()
        with writing(self._engine) as session:
            run = session.get_one(ExportRun, run_id)
            run.state = "done" if reason is None else "failed"
            run.finished_at, run.row_count, run.reason = now, count, reason
            pause_s = min(wanted.retry_s * 2 ** min(run.tries - 1, 10), _LONGEST_PAUSE_S)
            run.next_try_at = None if reason is None else now + timedelta(seconds=pause_s)


def _look(name: str, run: ExportRun) -> DataAccess:
    """Returns what the log of looks at data says of a run: every meter's readings leave."""
    return DataAccess(
        first_at=run.started_at,
        last_at=run.started_at,
        count=1,
        who=name,
        door="schedule",
        operation="export",
        from_at=run.from_at,
        to_at=run.to_at,
    )


def runs(engine: Engine, limit: int) -> list[ExportRun]:
    """Returns the newest runs of all exports."""
    with reading(engine) as session:
        query = select(ExportRun).order_by(ExportRun.id.desc()).limit(limit)
        return list(session.scalars(query))


def _forget_early(session: Session, name: str, now: datetime, over: datetime) -> None:
    """Forgets what was exported of windows that are not over by a clock that was ahead.

    A clock before which no run began is behind: it forgets nothing, or windows would be left out.
    """
    ours = ExportRun.name == name
    before = select(ExportRun.id).where(ours, ExportRun.started_at <= now).limit(1)
    if session.scalar(before) is not None:
        early = ExportRun.started_at > now, ExportRun.to_at > over
        session.execute(delete(ExportRun).where(ours, *early))


def _may_be_tried(run: ExportRun, now: datetime) -> bool:
    """Says whether a run need not wait; not for a clock that was ahead."""
    return run.next_try_at is None or run.next_try_at <= now or run.started_at > now


def _first_start(now: datetime, wanted: ScheduledExport, every: timedelta) -> datetime:
    """Returns the start of the newest window that is over and whose delay has passed."""
    seconds = int(every.total_seconds())
    ended = int((now - timedelta(hours=wanted.delay_hours)).timestamp()) // seconds * seconds
    return datetime.fromtimestamp(ended - seconds, UTC)
