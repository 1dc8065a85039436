"""Long jobs and how they stand, and the jobs on a schedule with their last runs."""

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import UNENDED, LongJob, ScheduledRun
from hesper_cloud.long_jobs import asking
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound, NotPermitted, Refused
from hesper_cloud.services.sources import Sources, require

MOST_JOBS = 1000


@dataclass(frozen=True, slots=True)
class JobRow:
    """One long job; ``total`` is None while nobody knows how much there is to do."""

    id: int
    kind: str
    title: str
    asked_by: str
    asked_at: datetime
    state: str  # waiting | running | done | failed | cancelled
    done: int
    total: int | None
    begun_at: datetime | None
    moved_at: datetime | None
    ended_at: datetime | None
    ended_by: str | None  # who cancelled it
    problem: str | None  # why it failed, or what it waits for
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Says whether this job may still change."""
        return self.state in UNENDED


@dataclass(frozen=True, slots=True)
class ScheduledRow:
    """One job on a schedule; ``problem`` is that of the newest run that failed."""

    name: str
    every_s: float
    running: bool
    last_begun_at: datetime
    last_ended_at: datetime | None
    last_seconds: float | None
    next_at: datetime | None
    problem: str | None
    problem_at: datetime | None
    run_count: int
    failure_count: int


JobRows = list[JobRow]
ScheduledRows = list[ScheduledRow]


class Jobs:
    """Reads jobs, and ends them when asked; who sees some areas alone sees their own jobs."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def list(
        self, actor: Actor, state: str | None = None, before: int | None = None, limit: int = 100
    ) -> JobRows:
        """Returns jobs, newest first; ``before`` is the number of the last one seen.

        The state ``open`` means those that may still change.
        """
        require(actor, Permission.READ)
        query = _seen(actor)
        if state is not None:
            query = query.where(LongJob.state.in_(UNENDED if state == "open" else (state,)))
        if before is not None:
            query = query.where(LongJob.id < before)
        return await asyncio.to_thread(self._rows, query.limit(min(limit, MOST_JOBS)))

    async def get(self, actor: Actor, job_id: int) -> JobRow:
        """Returns one job.

        Raises:
            NotFound: there is none with this number, or it is not the actor's to see.
        """
        require(actor, Permission.READ)
        rows = await asyncio.to_thread(self._rows, _seen(actor).where(LongJob.id == job_id))
        if not rows:
            raise NotFound(f"there is no job {job_id}")
        return rows[0]

    async def cancel(self, actor: Actor, job_id: int) -> JobRow:
        """Ends a job between two portions; what it did so far stays. Audited first.

        Raises:
            NotPermitted: it is somebody else's, and the actor no administrator.
            Refused: it has ended already.
        """
        job = await self.get(actor, job_id)
        if job.asked_by != actor.username and not actor.may(Permission.ADMINISTER):
            raise NotPermitted("only who asked for a job and administrators end it")
        if not job.is_open:
            raise Refused(f"the job is {job.state} already")
        payload = {"action": "job.cancel", "subject": f"job {job_id} {job.kind}"}
        await self._link.ask(actor, "audit.note", payload, f"job-{job_id}-{uuid.uuid4().hex}")

        def end() -> bool:
            with writing(self._sources.registry) as session:
                return asking.cancel(session, job_id, actor.username, self._sources.clock())

        if not await asyncio.to_thread(end):
            raise Refused("the job ended meanwhile")
        return await self.get(actor, job_id)

    async def scheduled(self, actor: Actor) -> ScheduledRows:
        """Returns every job on a schedule, by name."""
        require(actor, Permission.READ)

        def load() -> ScheduledRows:
            query = select(ScheduledRun).order_by(ScheduledRun.name)
            with reading(self._sources.registry) as session:
                return [_scheduled_row(row) for row in session.scalars(query)]

        return await asyncio.to_thread(load)

    def _rows(self, query: Select[tuple[LongJob]]) -> JobRows:
        with reading(self._sources.registry) as session:
            return [job_row(row) for row in session.scalars(query)]


def _seen(actor: Actor) -> Select[tuple[LongJob]]:
    query = select(LongJob).order_by(LongJob.id.desc())
    return query if actor.areas is None else query.where(LongJob.asked_by == actor.username)


def job_row(row: LongJob) -> JobRow:
    """Returns a job as services give it out."""
    return JobRow(**{name: getattr(row, name) for name in JobRow.__dataclass_fields__})


def _scheduled_row(row: ScheduledRun) -> ScheduledRow:
    return ScheduledRow(
        name=row.name,
        every_s=row.every_s,
        running=row.ended_at is None or row.ended_at < row.begun_at,
        last_begun_at=row.begun_at,
        last_ended_at=row.ended_at,
        last_seconds=row.seconds,
        next_at=row.next_at,
        problem=row.problem,
        problem_at=row.problem_at,
        run_count=row.run_count,
        failure_count=row.failure_count,
    )
