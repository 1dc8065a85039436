"""The gap ledger as operators see it: gaps, what was asked for again, what is expected."""

import asyncio
from datetime import datetime

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import LIVE_GAPS, Backfill, Gap, MeterProfile
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services import journal
from hesper_cloud.services.records import BackfillRow, GapFilter, GapRow, ProfileRow
from hesper_cloud.services.scope import narrowed
from hesper_cloud.services.sources import Sources, require

_GAPS = Orders(
    {
        "from_at": Order(Gap.from_at, datetime),
        "noticed_at": Order(Gap.noticed_at, datetime),
        "expected_count": Order(Gap.expected_count, int),
    },
    Order(Gap.id, int),
    "-from_at",
)
_BACKFILLS = Orders({"id": Order(Backfill.id, int)}, Order(Backfill.id, int), "-id")


class Gaps:
    """Reads the ledger; changes nothing."""

    def __init__(self, sources: Sources) -> None:
        self._registry = sources.registry

    async def page(
        self, actor: Actor, wanted: GapFilter, asked: Asked
    ) -> tuple[list[GapRow], str | None]:
        """Returns gaps, newest first by default, and the cursor of the next page.

        Without a state those that may still be filled.
        """
        require(actor, Permission.READ)
        states = (wanted.state,) if wanted.state else LIVE_GAPS
        query = narrowed(select(Gap), actor, Gap.meter).where(Gap.state.in_(states))
        for column, value in (
            (Gap.meter, wanted.meter), (Gap.profile, wanted.profile), (Gap.cause, wanted.cause)
        ):  # fmt: skip
            if value:
                query = query.where(column == value)

        def load() -> tuple[list[GapRow], str | None]:
            with reading(self._registry) as session:
                rows, following = _GAPS.page(session, query, asked)
                return [journal.gap_row(row) for row in rows], following

        return await asyncio.to_thread(load)

    async def backfills(
        self, actor: Actor, meter: str | None, asked: Asked
    ) -> tuple[list[BackfillRow], str | None]:
        """Returns what was asked for again, newest first, and the cursor of the next page."""
        require(actor, Permission.READ)
        query = narrowed(select(Backfill), actor, Backfill.meter)
        if meter:
            query = query.where(Backfill.meter == meter)

        def load() -> tuple[list[BackfillRow], str | None]:
            with reading(self._registry) as session:
                rows, following = _BACKFILLS.page(session, query, asked)
                return [_backfill_row(row) for row in rows], following

        return await asyncio.to_thread(load)

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
