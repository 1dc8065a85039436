"""The audit log for those who may read it."""

import asyncio

from sqlalchemy import func, select

from hesper_cloud import audit
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading
from hesper_cloud.services.records import AuditEntry, AuditVerdict, Page
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require


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
        return await asyncio.to_thread(self._page, offset, limit, subject)

    async def verify(self, actor: Actor) -> AuditVerdict:
        """Walks the whole chain."""
        require(actor, Permission.READ_AUDIT)
        require_everywhere(actor, "the audit log")
        return await asyncio.to_thread(self._verify)

    def _page(self, offset: int, limit: int, subject: str) -> Page[AuditEntry]:
        query = select(AuditRow).order_by(AuditRow.sequence.desc())
        count = select(func.count()).select_from(AuditRow)
        if subject:
            matches = AuditRow.subject.contains(subject, autoescape=True)
            query, count = query.where(matches), count.where(matches)
        with reading(self._sources.authority) as session:
            rows = session.scalars(query.offset(offset).limit(limit)).all()
            total = session.scalar(count) or 0
        entries = (
            AuditEntry(
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
            for row in rows
        )
        return Page(tuple(entries), total, offset)

    def _verify(self) -> AuditVerdict:
        with reading(self._sources.authority) as session:
            found = audit.verify(session)
        return AuditVerdict(found.intact, found.rows, found.broken_at, found.text)
