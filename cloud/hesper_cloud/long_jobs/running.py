"""The runner: one portion of one job at a turn."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Engine, exc, select

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import DONE, FAILED, RUNNING, UNENDED, LongJob
from hesper_cloud.long_jobs.kinds import JobFailed, Kind, Progress, Work
from hesper_cloud.putting_off import PuttingOff
from hesper_cloud.stores.port import StoreError

log = logging.getLogger(__name__)

_UNAVAILABLE = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)  # of a database
_OUR_FAULT = "a fault of ours stopped it; the log of the head end has it under the job's number"


class Runner:
    """Works the jobs that are waiting or were interrupted; of one thread."""

    def __init__(
        self, registry: Engine, kinds: Sequence[Kind], clock: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._kinds = {kind.name: kind for kind in kinds}
        self._clock = clock
        self._last_lane = ""
        self._putting_off = PuttingOff()
        self._waiting: defaultdict[int, PuttingOff] = defaultdict(PuttingOff)

    def turn(self) -> bool:
        """Does one portion; says no when there is none, or what it needs is unavailable."""
        try:
            work = self._next()
            moved = work is not None and self._portion(work)
        except exc.SQLAlchemyError as error:
            self._putting_off.because("long jobs", error)
            return False
        self._putting_off.over("long jobs")
        return moved

    def _next(self) -> Work | None:
        """Returns the oldest job of the lane whose turn it is."""
        query = select(LongJob).where(LongJob.state.in_(UNENDED)).order_by(LongJob.id)
        first: dict[str, LongJob] = {}
        with reading(self._registry) as session:
            for row in session.scalars(query):
                first.setdefault(self._lane(row.kind), row)
        if not first:
            return None
        lanes = sorted(first)
        self._last_lane = next((lane for lane in lanes if lane > self._last_lane), lanes[0])
        return _work(first[self._last_lane])

    def _lane(self, kind: str) -> str:
        known = self._kinds.get(kind)
        return kind if known is None else known.lane

    def _portion(self, work: Work) -> bool:
        kind = self._kinds.get(work.kind)
        if kind is None:
            return self._fail(work, f"this version knows no work of kind {work.kind!r}")
        try:
            self._perform(kind, work)
        except JobFailed as failure:
            return self._fail(work, str(failure))
        except (*_UNAVAILABLE, StoreError, OSError) as error:
            self._waiting[work.id].because(f"job {work.id} ({work.kind})", error)
            self._tell(work, f"waits: {type(error).__name__}; it is tried again by itself")
            return False
        except Exception:  # one job's fault must not end the process and all that runs in it
            log.exception("job %d (%s) ended by a fault", work.id, work.kind)
            return self._fail(work, _OUR_FAULT)
        if work.id in self._waiting:
            self._waiting.pop(work.id).over(f"job {work.id} ({work.kind})")
        return True

    def _perform(self, kind: Kind, work: Work) -> None:
        effect = kind.prepare(work)
        with writing(self._registry) as session:
            row = session.get_one(LongJob, work.id)
            if row.state not in UNENDED or row.portions != work.portions:
                return  # cancelled meanwhile, or moved by another runner
            is_first = row.begun_at is None
            _moved(row, effect(session), self._clock())
            done, is_over = row.done, row.state == DONE
        if is_first:
            log.info("job %d (%s) has begun", work.id, work.kind)
        if is_over:
            log.info("job %d (%s) is done: %d", work.id, work.kind, done)

    def _fail(self, work: Work, why: str) -> bool:
        self._waiting.pop(work.id, None)
        with writing(self._registry) as session:
            row = session.get_one(LongJob, work.id)
            if row.state in UNENDED:
                row.state, row.problem, row.ended_at = FAILED, why, self._clock()
        log.warning("job %d (%s) failed: %s", work.id, work.kind, why)
        return True

    def _tell(self, work: Work, why: str) -> None:
        with writing(self._registry) as session:
            session.get_one(LongJob, work.id).problem = why


def _work(row: LongJob) -> Work:
    return Work(
        id=row.id,
        kind=row.kind,
        asked_by=row.asked_by,
        parameters=row.parameters,
        cursor=row.cursor,
        result=row.result,
        portions=row.portions,
    )


def _moved(row: LongJob, progress: Progress, at: datetime) -> None:
    """Keeps what a portion came to, beside its effect."""
    row.begun_at = row.begun_at or at
    row.moved_at = at
    row.portions += 1
    row.done, row.total, row.result = progress.done, progress.total, progress.result
    row.problem = None
    if progress.cursor is None:
        row.state, row.ended_at = DONE, at
    else:
        row.state, row.cursor = RUNNING, progress.cursor
