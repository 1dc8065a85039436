"""The gap ledger as operators see it: gaps, what was asked for again, what is expected."""

import asyncio
from datetime import datetime

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import LIVE_GAPS, Backfill, Gap, MeterProfile
from hesper_cloud.services import journal
from hesper_cloud.services.records import BackfillRow, GapFilter, GapRow, ProfileRow
from hesper_cloud.services.scope import narrowed
from hesper_cloud.services.sources import Sources, require

_MAX_ROWS = 10_000


class Gaps:
    """Reads the ledger; changes nothing."""

    def __init__(self, sources: Sources) -> None:
        self._registry = sources.registry

    async def page(self, actor: Actor, wanted: GapFilter, limit: int) -> list[GapRow]:
        """Returns gaps, newest first; without a state those that may still be filled."""
        require(actor, Permission.READ)
        states = (wanted.state,) if wanted.state else LIVE_GAPS
        query = narrowed(select(Gap), actor, Gap.meter).where(Gap.state.in_(states))
        query = query.order_by(Gap.from_at.desc())
        if wanted.meter:
            query = query.where(Gap.meter == wanted.meter)
        if wanted.profile:
            query = query.where(Gap.profile == wanted.profile)
        if wanted.cause:
            query = query.where(Gap.cause == wanted.cause)
        query = query.limit(min(limit, _MAX_ROWS))
        return await asyncio.to_thread(journal.gaps, self._registry, query)

    async def backfills(
        self, actor: Actor, meter: str | None = None, limit: int = 200
    ) -> list[BackfillRow]:
        """Returns what was asked for again, newest first."""
        require(actor, Permission.READ)
        query = narrowed(select(Backfill), actor, Backfill.meter)
        query = query.order_by(Backfill.id.desc()).limit(min(limit, _MAX_ROWS))
        if meter:
            query = query.where(Backfill.meter == meter)

        def rows() -> list[BackfillRow]:
            with reading(self._registry) as session:
                return [_backfill_row(row) for row in session.scalars(query)]

        return await asyncio.to_thread(rows)

    async def profiles(self, actor: Actor, meter: str) -> list[ProfileRow]:
        """Returns which profiles a meter is expected to capture, and since when."""
        require(actor, Permission.READ)
        query = narrowed(select(MeterProfile), actor, MeterProfile.meter)
        query = query.where(MeterProfile.meter == meter)

        def rows() -> list[ProfileRow]:
            with reading(self._registry) as session:
                return [
                    ProfileRow(row.profile, row.capture_period_s, _since(row), row.source)
                    for row in session.scalars(query.order_by(MeterProfile.profile))
                ]

        return await asyncio.to_thread(rows)


def _since(row: MeterProfile) -> datetime:
    return max(row.expected_from, row.period_since or row.expected_from)


def _backfill_row(row: Backfill) -> BackfillRow:
    return BackfillRow(
        id=row.id,
        gateway=row.gateway,
        meter=row.meter,
        profile=row.profile,
        from_at=row.from_at,
        to_at=row.to_at,
        missing_count=row.missing_count,
        state=row.state,
        command_id=row.command_id,
        row_count=row.row_count,
        reason=row.reason,
        asked_at=row.asked_at,
        settled_at=row.settled_at,
    )
