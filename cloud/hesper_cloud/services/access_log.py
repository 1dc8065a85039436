"""Who looked at which household's interval data, for those who may read the audit log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.access_log import AccessLogKeeping
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import DataAccess, Meter
from hesper_cloud.paging import Asked, BadPage, Order, Orders
from hesper_cloud.services.errors import Invalid, Unavailable
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import told_by

_ORDERS = Orders(
    {"last_at": Order(DataAccess.last_at, datetime)}, Order(DataAccess.id, int), "-last_at"
)


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One look, or several alike; without a meter at all of the area, without both at every one."""

    id: int
    first_at: datetime
    last_at: datetime
    count: int
    who: str
    door: str
    operation: str
    meter: str | None
    area: str | None
    from_at: datetime | None  # of the captures that were asked for; the end is excluded
    to_at: datetime | None


@dataclass(frozen=True, slots=True)
class AccessPage:
    """Looks newest first; ``next_cursor`` leads to older ones."""

    rows: Sequence[AccessRow]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which looks: at a meter (those at all of its area and at every meter too), and by whom."""

    meter: str = ""
    who: str = ""
    start: datetime | None = None
    end: datetime | None = None


class AccessLog:
    """Reads the log; what waits in memory is written down first, so it is complete."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._keeping = AccessLogKeeping(sources.registry, sources.looks)

    async def page(self, actor: Actor, wanted: Wanted, asked: Asked) -> AccessPage:
        """Returns a page of looks, newest first.

        Raises:
            Invalid: the cursor is not one of this question's.
            Unavailable: the newest looks cannot be written down.
        """
        require(actor, Permission.READ_AUDIT)
        require_everywhere(actor, "the access log")
        return await asyncio.to_thread(self._page, wanted, asked)

    def _page(self, wanted: Wanted, asked: Asked) -> AccessPage:
        try:
            self._keeping.flush()
        except SQLAlchemyError:
            raise Unavailable("the newest looks cannot be written down now; ask again") from None
        with reading(self._sources.registry) as session:
            area = session.scalar(select(Meter.area).where(Meter.id == wanted.meter))
            try:
                rows, following = _ORDERS.page(session, _query(wanted, area), asked)
            except BadPage as error:
                raise Invalid(told_by(error)) from None
            return AccessPage([access_row(row) for row in rows], following)


def access_row(row: DataAccess) -> AccessRow:
    """Returns a row of the table as it is shown."""
    return AccessRow(**{name: getattr(row, name) for name in AccessRow.__dataclass_fields__})


def concerning(meter: str, area: str | None) -> Any:
    """Returns the condition that a look was at this meter, by itself or among others."""
    everywhere = and_(DataAccess.meter.is_(None), DataAccess.area.is_(None))
    there = and_(DataAccess.meter.is_(None), DataAccess.area == area)
    return or_(DataAccess.meter == meter, everywhere, *([] if area is None else [there]))


def _query(wanted: Wanted, area: str | None) -> Select[Any]:
    query = select(DataAccess)
    if wanted.meter:
        query = query.where(concerning(wanted.meter, area))
    if wanted.who:
        query = query.where(DataAccess.who == wanted.who)
    if wanted.start is not None:
        query = query.where(DataAccess.last_at >= wanted.start)
    if wanted.end is not None:
        query = query.where(DataAccess.last_at < wanted.end)
    return query
