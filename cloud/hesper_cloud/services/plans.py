"""Reading schedules and meter templates: versions, to whom they are assigned, what is in force.

A *schedule* is how often a gateway reads (the table ``[schedule]`` of gateway.toml), a *template*
is by which description its meters are read. Each has versions that are never changed. A version is
assigned to those whom a query finds; the newest assignment that finds a gateway says what is
desired there. What is reported is what the gateway confirmed (`known_files`): where it never did,
that is said. Nothing here reaches a gateway by itself (`plan_sending`).
"""

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import PlanAssignment, PlanVersion
from hesper_cloud.services import plan_documents, plan_states
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound, Refused, Stale
from hesper_cloud.services.plan_states import PlanKind, PlanQuery, PlanState
from hesper_cloud.services.scope import gateways_of, require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

T = TypeVar("T")
RESERVED = frozenset({"customers", "meters", "simcards", "states", "assignments"})  # addresses


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One version of a schedule or template."""

    kind: PlanKind
    name: str
    version: int
    document: dict[str, Any]
    note: str
    made_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    """One assignment; ``ended_at`` is set once it was taken back."""

    id: int
    kind: PlanKind
    name: str
    version: int
    query: dict[str, Any]
    made_at: datetime
    made_by: str
    ended_at: datetime | None


class Plans:
    """Keeps plans in the registry; every change is audited before it takes effect."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def newest(self, actor: Actor, kind: PlanKind) -> list[PlanRow]:
        """Returns the newest version of each plan, by name."""
        require(actor, Permission.READ)
        latest = (
            select(PlanVersion.name, func.max(PlanVersion.version).label("version"))
            .where(PlanVersion.kind == kind)
            .group_by(PlanVersion.name)
            .subquery()
        )
        same = (PlanVersion.name == latest.c.name) & (PlanVersion.version == latest.c.version)
        query = select(PlanVersion).join(latest, same).where(PlanVersion.kind == kind)
        return await self._read(
            lambda session: [_row(each) for each in session.scalars(query.order_by("name"))]
        )

    async def versions(self, actor: Actor, kind: PlanKind, name: str) -> list[PlanRow]:
        """Returns all versions of a plan, newest first.

        Raises:
            NotFound: there is no such plan.
        """
        require(actor, Permission.READ)
        query = select(PlanVersion).where(PlanVersion.kind == kind, PlanVersion.name == name)
        query = query.order_by(PlanVersion.version.desc())
        rows = await self._read(lambda session: [_row(each) for each in session.scalars(query)])
        if not rows:
            raise NotFound(worded("there is no {kind} {name}", kind=kind, name=name))
        return rows

    async def put(
        self, actor: Actor, plan: tuple[PlanKind, str], document: dict[str, Any], note: str,
        wanted: int | None = None,
    ) -> PlanRow:  # fmt: skip
        """Makes the next version of a plan, or its first.

        Raises:
            Stale: `wanted` is not the newest version.
            Invalid: the name, the document or the note is none.
            Refused: the name is the address of something else.
        """
        _require_keeper(actor)
        kind, name = plan
        plan_documents.check(kind, name, document, note)
        if name in RESERVED:
            raise Refused(
                worded("{name} is the address of something else; take another name", name=name)
            )
        await self._note(actor, f"{kind}.version", name, note)

        def add(session: Session) -> PlanRow:
            newest = select(func.max(PlanVersion.version)).where(
                PlanVersion.kind == kind, PlanVersion.name == name
            )
            before = session.scalar(newest) or 0
            if wanted is not None and wanted != before:
                raise Stale(
                    worded(
                        "version {before} is the newest by now, not {wanted}",
                        before=before,
                        wanted=wanted,
                    )
                )
            row = PlanVersion(
                kind=kind, name=name, version=before + 1, document=document, note=note,
                made_at=self._sources.clock(), made_by=actor.username,
            )  # fmt: skip
            session.add(row)
            return _row(row)

        return await self._write(add)

    async def assignments(self, actor: Actor, kind: PlanKind) -> list[AssignmentRow]:
        """Returns the assignments that hold, newest first; none to a gateway or area elsewhere."""
        require(actor, Permission.READ)
        gateways = await asyncio.to_thread(gateways_of, self._sources.registry, actor)

        def load(session: Session) -> list[AssignmentRow]:
            rows = map(_assignment, plan_states.holding(session, kind))
            return [row for row in rows if _is_seen(actor, gateways, row)]

        return await self._read(load)

    async def assign(
        self, actor: Actor, kind: PlanKind, name: str, version: int | None, query: PlanQuery
    ) -> AssignmentRow:
        """Assigns a version, by default the newest, to those whom a query finds.

        Raises:
            NotFound: there is no such version.
        """
        _require_keeper(actor)
        known = await self.versions(actor, kind, name)
        number = version or known[0].version
        if number not in {each.version for each in known}:
            raise NotFound(
                worded("{kind} {name} has no version {number}", kind=kind, name=name, number=number)
            )
        await self._note(actor, f"{kind}.assign", f"{name} {number}", json.dumps(query.said()))

        def add(session: Session) -> AssignmentRow:
            row = PlanAssignment(
                kind=kind, name=name, version=number, query=query.said(),
                made_at=self._sources.clock(), made_by=actor.username,
            )  # fmt: skip
            session.add(row)
            session.flush()
            return _assignment(row)

        return await self._write(add)

    async def take_back(self, actor: Actor, kind: PlanKind, assignment: int) -> None:
        """Ends an assignment.

        Raises:
            NotFound: there is none that holds.
        """
        _require_keeper(actor)
        await self._note(actor, f"{kind}.take_back", str(assignment), "")

        def end(session: Session) -> None:
            row = session.get(PlanAssignment, assignment)
            if row is None or row.kind != kind or row.ended_at is not None:
                raise NotFound(
                    worded(
                        "no assignment {assignment} of a {kind} holds",
                        assignment=assignment,
                        kind=kind,
                    )
                )
            row.ended_at, row.ended_by = self._sources.clock(), actor.username

        await self._write(end)

    async def states(self, actor: Actor, kind: PlanKind) -> list[PlanState]:
        """Returns what is desired and what is reported at each gateway that the actor sees."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(plan_states.states, self._sources, actor, kind)

    async def _note(self, actor: Actor, action: str, subject: str, after: str) -> None:
        payload = {"action": action, "subject": subject, "after": after}
        await self._link.ask(actor, "audit.note", payload, f"{action}-{uuid.uuid4().hex}")

    async def _read(self, load: Callable[[Session], T]) -> T:
        def work() -> T:
            with reading(self._sources.registry) as session:
                return load(session)

        return await asyncio.to_thread(work)

    async def _write(self, change: Callable[[Session], T]) -> T:
        def work() -> T:
            with writing(self._sources.registry) as session:
                return change(session)

        return await asyncio.to_thread(work)


def _is_seen(actor: Actor, gateways: set[str] | None, row: AssignmentRow) -> bool:
    query = PlanQuery(**row.query)
    there = gateways is None or query.gateway is None or query.gateway in gateways
    return there and (query.area is None or actor.sees(query.area))


def _require_keeper(actor: Actor) -> None:
    require(actor, Permission.EDIT_ASSETS)
    require_everywhere(actor, "what gateways are configured with")


def _row(row: PlanVersion) -> PlanRow:
    kind: PlanKind = "schedule" if row.kind == "schedule" else "template"
    return PlanRow(kind, row.name, row.version, row.document, row.note, row.made_at, row.made_by)


def _assignment(row: PlanAssignment) -> AssignmentRow:
    kind: PlanKind = "schedule" if row.kind == "schedule" else "template"
    return AssignmentRow(
        row.id, kind, row.name, row.version, row.query, row.made_at, row.made_by, row.ended_at
    )
