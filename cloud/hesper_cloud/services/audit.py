"""The audit log for those who may read it."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select

from hesper_cloud import audit
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services.records import AuditEntry, AuditVerdict, Page
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require

_ORDERS = Orders(
    {"sequence": Order(AuditRow.sequence, int)}, Order(AuditRow.sequence, int), "-sequence"
)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; all that fit every filter."""

    subject: str = ""  # contained in it
    actor: str = ""
    action: str = ""
    start: datetime | None = None
    end: datetime | None = None  # left out itself

    def terms(self) -> list[ColumnElement[bool]]:
        """Returns it as conditions of a query."""
        found = []
        if self.subject:
            found.append(AuditRow.subject.contains(self.subject, autoescape=True))
        if self.actor:
            found.append(AuditRow.actor == self.actor)
        if self.action:
            found.append(AuditRow.action == self.action)
        if self.start is not None:
            found.append(AuditRow.at >= self.start)
        if self.end is not None:
            found.append(AuditRow.at < self.end)
        return found


class Audit:
    """Reads the chain and checks it."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def page(
        self, actor: Actor, offset: int = 0, limit: int = 100, subject: str = ""
    ) -> Page[AuditEntry]:
        """Returns rows newest first, those whose subject contains ``subject``."""
        require(actor, Permission.READ_AUDIT)
        require_everywhere(actor, "the audit log")
        return await self.entries(actor, AuditFilter(subject), Asked(limit), offset)

    async def entries(
        self, actor: Actor, wanted: AuditFilter, asked: Asked, offset: int = 0
    ) -> Page[AuditEntry]:
        """Returns the rows that a filter names, newest first by default, and the next cursor."""
        require(actor, Permission.READ_AUDIT)
        require_everywhere(actor, "the audit log")
        return await asyncio.to_thread(self._page, wanted, asked, offset)

    async def verify(self, actor: Actor) -> AuditVerdict:
        """Walks the whole chain."""
        require(actor, Permission.READ_AUDIT)
        require_everywhere(actor, "the audit log")
        return await asyncio.to_thread(self._verify)

    def _page(self, wanted: AuditFilter, asked: Asked, offset: int) -> Page[AuditEntry]:
        query = select(AuditRow).where(*wanted.terms())
        count = select(func.count()).select_from(AuditRow).where(*wanted.terms())
        with reading(self._sources.authority) as session:
            rows, following = _ORDERS.page(session, query.offset(offset), asked)
            total = session.scalar(count) or 0
        return Page(tuple(map(_entry, rows)), total, offset, following)

    def _verify(self) -> AuditVerdict:
        with reading(self._sources.authority) as session:
            found = audit.verify(session)
        return AuditVerdict(found.intact, found.rows, found.broken_at, found.text)


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(
        sequence=row.sequence,
        at=row.at,
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        before=row.before,
        after=row.after,
        why=row.why,
        hash=row.hash,
    )
