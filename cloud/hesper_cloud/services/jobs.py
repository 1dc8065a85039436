"""Long jobs and how they stand, and the jobs on a schedule with their last runs."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import DONE, UNENDED, LongJob, ScheduledRun
from hesper_cloud.long_jobs import asking
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound, NotPermitted, Refused
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import later, restored, worded

NEWEST = Asked()
_ORDERS = Orders({"id": Order(LongJob.id, int)}, Order(LongJob.id, int), "-id")


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
    """One job on a schedule; ``problem`` is that of the newest run that failed, see `scheduled`."""

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

    async def page(
        self, actor: Actor, state: str | None = None, asked: Asked = NEWEST
    ) -> tuple[JobRows, str | None]:
        """Returns jobs, newest first, and the cursor of the next page.

        The state ``open`` means those that may still change.
        """
        require(actor, Permission.READ)
        query = _seen(actor)
        if state is not None:
            query = query.where(LongJob.state.in_(UNENDED if state == "open" else (state,)))

        def load() -> tuple[JobRows, str | None]:
            with reading(self._sources.registry) as session:
                rows, following = _ORDERS.page(session, query, asked)
                return [job_row(row) for row in rows], following

        return await asyncio.to_thread(load)

    async def get(self, actor: Actor, job_id: int) -> JobRow:
        """Returns one job.

        Raises:
            NotFound: there is none with this number, or it is not the actor's to see.
        """
        require(actor, Permission.READ)
        query = _seen(actor).where(LongJob.id == job_id)

        def load() -> JobRow:
            with reading(self._sources.registry) as session:
                row = session.scalar(query)
                if row is None:
                    raise NotFound(worded("there is no job {job}", job=job_id))
                return job_row(row)

        return await asyncio.to_thread(load)

    async def cancel(self, actor: Actor, job_id: int) -> JobRow:
        """Ends a job between two portions; what it did so far stays. Audited first.

        Raises:
            NotPermitted: it is somebody else's, and the actor no administrator.
            Refused: it has ended already.
        """
        who, at = actor.username, self._sources.clock()
        return await self._change(
            actor, job_id, "cancel", lambda session: asking.cancel(session, job_id, who, at)
        )

    async def resume(self, actor: Actor, job_id: int) -> JobRow:
        """Lets a job that failed or was cancelled go on where it stopped. Audited first.

        Raises:
            NotPermitted: it is somebody else's, and the actor no administrator.
            Refused: it is neither failed nor cancelled.
        """
        return await self._change(
            actor, job_id, "resume", lambda session: asking.resume(session, job_id)
        )

    async def _change(
        self, actor: Actor, job_id: int, verb: str, change: Callable[[Session], bool]
    ) -> JobRow:
        require(actor, Permission.ORDER_JOBS)
        job = await self.get(actor, job_id)
        if job.asked_by != actor.username and not actor.may(Permission.ADMINISTER):
            raise NotPermitted(
                worded("who asked for a job, and administrators, may {verb} it", verb=verb)
            )
        if job.is_open is (verb == "resume") or job.state == DONE:
            raise Refused(worded("the job is {state}", state=job.state))
        payload = {"action": f"job.{verb}", "subject": f"job {job_id} {job.kind}"}
        await self._link.ask(actor, "audit.note", payload, f"job-{job_id}-{uuid.uuid4().hex}")

        def commit() -> bool:
            with writing(self._sources.registry) as session:
                return change(session)

        if not await asyncio.to_thread(commit):
            raise Refused("the job moved meanwhile; look again")
        return await self.get(actor, job_id)

    async def scheduled(self, actor: Actor) -> ScheduledRows:
        """Returns every job on a schedule, by name.

        What a failure says may name files, tables and meters of the whole house: who does not read
        the audit log of all areas is told of what sort it was.
        """
        require(actor, Permission.READ)
        told = actor.may(Permission.READ_AUDIT) and actor.areas is None

        def load() -> ScheduledRows:
            query = select(ScheduledRun).order_by(ScheduledRun.name)
            with reading(self._sources.registry) as session:
                return [_scheduled_row(row, told) for row in session.scalars(query)]

        return await asyncio.to_thread(load)


def _seen(actor: Actor) -> Select[LongJob]:
    query = select(LongJob)
    return query if actor.areas is None else query.where(LongJob.asked_by == actor.username)


def job_row(row: LongJob) -> JobRow:
    """Returns a job as services give it out."""
    values = {name: getattr(row, name) for name in JobRow.__dataclass_fields__}
    return JobRow(**values | {"title": restored(row.title, row.said)})


def _scheduled_row(row: ScheduledRun, told: bool) -> ScheduledRow:
    problem = row.problem if told or row.problem is None else _sort(row.problem)
    return ScheduledRow(
        name=row.name,
        every_s=row.every_s,
        running=row.ended_at is None or row.ended_at < row.begun_at,
        last_begun_at=row.begun_at,
        last_ended_at=row.ended_at,
        last_seconds=row.seconds,
        next_at=row.next_at,
        problem=problem,
        problem_at=row.problem_at,
        run_count=row.run_count,
        failure_count=row.failure_count,
    )


def _sort(problem: str) -> str:
    return later("put off") if problem.startswith("put off:") else later("failed")
