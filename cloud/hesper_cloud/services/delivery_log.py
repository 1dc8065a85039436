"""What is set up for delivery, and what was sent: for those who look after it."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.delivery import Delivery, DeliveryAttempt, DeliveryRoute, DeliveryTarget
from hesper_cloud.db.engines import reading
from hesper_cloud.delivery.routing import HELD, WAITING
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services.delivery_records import (
    AttemptRow,
    DeliveryRow,
    RouteRow,
    TargetRow,
    attempt_row,
    delivery_row,
    route_row,
    target_row,
)
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require

NEWEST = Asked(sort="-id")
_ORDERS = Orders({"id": Order(Delivery.id, int)}, Order(Delivery.id, int), "-id")


class DeliveryLog:
    """Reads targets, routes, messages and attempts; no secret is among them."""

    def __init__(self, sources: Sources) -> None:
        self._registry = sources.registry

    async def targets(self, actor: Actor) -> list[TargetRow]:
        """Returns every target."""
        _may_look(actor)
        return await asyncio.to_thread(self._targets)

    async def routes(self, actor: Actor) -> list[RouteRow]:
        """Returns every route."""
        _may_look(actor)
        return await asyncio.to_thread(self._routes)

    async def messages(
        self, actor: Actor, state: str | None = None, asked: Asked = NEWEST
    ) -> tuple[list[DeliveryRow], str | None]:
        """Returns messages, newest first, and the cursor of the next page."""
        _may_look(actor)
        return await asyncio.to_thread(self._messages, state, asked)

    async def attempts(self, actor: Actor, delivery: int) -> list[AttemptRow]:
        """Returns what was tried to deliver a message, oldest first."""
        _may_look(actor)
        return await asyncio.to_thread(self._attempts, delivery)

    def _targets(self) -> list[TargetRow]:
        with reading(self._registry) as session:
            waiting = _waiting(session)
            rows = session.scalars(select(DeliveryTarget).order_by(DeliveryTarget.name))
            return [target_row(each, waiting.get(each.id, 0)) for each in rows]

    def _routes(self) -> list[RouteRow]:
        with reading(self._registry) as session:
            rows: Sequence[DeliveryRoute] = session.scalars(
                select(DeliveryRoute).order_by(DeliveryRoute.name)
            ).all()
        return [route_row(each) for each in rows]

    def _messages(self, state: str | None, asked: Asked) -> tuple[list[DeliveryRow], str | None]:
        query = select(Delivery)
        if state:
            query = query.where(Delivery.state == state)
        with reading(self._registry) as session:
            rows, following = _ORDERS.page(session, query, asked)
            pairs = select(DeliveryTarget.id, DeliveryTarget.name)
            names = {row[0]: row[1] for row in session.execute(pairs)}
        return [delivery_row(each, names[each.target_id]) for each in rows], following

    def _attempts(self, delivery: int) -> list[AttemptRow]:
        query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery)
        with reading(self._registry) as session:
            rows = session.scalars(query.order_by(DeliveryAttempt.id))
            return [attempt_row(each) for each in rows]


def _may_look(actor: Actor) -> None:
    require(actor, Permission.READ_AUDIT)
    require_everywhere(actor, "delivery of alerts")


def _waiting(session: Session) -> dict[int, int]:
    """Returns how many messages wait, by target."""
    query = select(Delivery.target_id, func.count()).where(Delivery.state.in_((WAITING, HELD)))
    rows = session.execute(query.group_by(Delivery.target_id))
    return {row[0]: int(row[1]) for row in rows}
