"""Outages: who lost power together, since when, and who has it again."""

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter, Outage, PowerLoss
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.rule_records import OutageDetail, OutageMeter, OutageRow
from hesper_cloud.services.scope import narrowed
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

ORDERS = Orders(
    {
        "began_at": Order(Outage.began_at, datetime),
        "customer_count": Order(Outage.customer_count, int),
        "id": Order(Outage.id, int),
    },
    Order(Outage.id, int),
    "-began_at",
)
NEWEST = Asked()
MOST_METERS = 10_000


class Outages:
    """Reads outages; who sees some areas alone sees those with a meter there, and its meters."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def page(
        self,
        actor: Actor,
        state: str | None = None,
        area: str | None = None,
        asked: Asked = NEWEST,
    ) -> tuple[list[OutageRow], str | None]:
        """Returns outages, newest first, and the cursor of the next page.

        Those that were merged into larger ones are only there when asked for.
        """
        require(actor, Permission.READ)
        query = _seen(select(Outage), actor)
        query = query.where(Outage.state == state if state else Outage.state != "merged")
        if area is not None:
            query = query.where(Outage.area == area)

        def load() -> tuple[list[OutageRow], str | None]:
            with reading(self._sources.registry) as session:
                rows, following = ORDERS.page(session, query, asked)
                return [_row(row) for row in rows], following

        return await asyncio.to_thread(load)

    async def get(self, actor: Actor, outage_id: int, most: int = MOST_METERS) -> OutageDetail:
        """Returns one outage with ``most`` of its meters, those without power first, then by name.

        Raises:
            NotFound: there is none of this number, or it is not the actor's to see.
        """
        require(actor, Permission.READ)

        def load() -> OutageDetail:
            with reading(self._sources.registry) as session:
                found = session.scalar(_seen(select(Outage), actor).where(Outage.id == outage_id))
                if found is None:
                    raise NotFound(worded("there is no outage {outage}", outage=outage_id))
                return OutageDetail(_row(found), *_meters(session, actor, outage_id, most))

        return await asyncio.to_thread(load)


def _seen(query: Select[Any], actor: Actor) -> Select[Any]:
    if actor.areas is None:
        return query
    there = select(PowerLoss.outage).where(
        PowerLoss.meter.in_(select(Meter.id).where(Meter.area.in_(actor.areas)))
    )
    return query.where(or_(Outage.area.in_(actor.areas), Outage.id.in_(there)))


def _meters(
    session: Session, actor: Actor, outage: int, most: int
) -> tuple[list[OutageMeter], int]:
    """Returns the first meters of an outage, and how many there are for the actor to see."""
    query = narrowed(select(PowerLoss), actor, PowerLoss.meter).where(PowerLoss.outage == outage)
    total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    query = query.order_by(PowerLoss.back_at.is_not(None), PowerLoss.meter, PowerLoss.lost_at)
    meters = [
        OutageMeter(row.meter, row.lost_at, row.back_at, row.proof)
        for row in session.scalars(query.limit(most))
    ]
    return meters, total


def _row(row: Outage) -> OutageRow:
    return OutageRow(**{name: getattr(row, name) for name in OutageRow.__dataclass_fields__})
