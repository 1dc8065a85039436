"""Gateways as they last reported themselves, with what is registered behind them."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import DeadLetter, Gateway, Meter
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.known_files import known_files
from hesper_cloud.services.records import DeadLetterRow, GatewayRow
from hesper_cloud.services.scope import gateway_terms, narrowed, require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

GatewayRows = list[GatewayRow]
DeadLetterRows = list[DeadLetterRow]
_ORDERS = Orders(
    {
        "id": Order(Gateway.id, str),
        "last_seen_at": Order(Gateway.last_seen_at, datetime),
        "backlog": Order(Gateway.backlog, int),
    },
    Order(Gateway.id, str),
    "id",
)
_LETTERS = Orders(
    {"id": Order(DeadLetter.id, int), "received_at": Order(DeadLetter.received_at, datetime)},
    Order(DeadLetter.id, int),
    "-id",
)


class Gateways:
    """Gateways, and what arrived and could not be decoded."""

    def __init__(self, sources: Sources) -> None:
        self._registry = sources.registry
        self._authority = sources.authority

    async def list(self, actor: Actor) -> GatewayRows:
        """Returns all gateways by name."""
        require(actor, Permission.READ)

        def load() -> GatewayRows:
            with reading(self._registry) as session:
                gateways = session.scalars(_seen(actor).order_by(Gateway.id)).all()
                return _rows(session, actor, gateways)

        return await asyncio.to_thread(load)

    async def page(
        self, actor: Actor, asked: Asked, state: str | None = None, search: str = ""
    ) -> tuple[GatewayRows, str | None]:
        """Returns gateways in a state whose name contains a text, and the next page's cursor."""
        require(actor, Permission.READ)
        query = _seen(actor)
        if state is not None:
            query = query.where(Gateway.state == state)
        if search:
            query = query.where(Gateway.id.contains(search, autoescape=True))

        def load() -> tuple[GatewayRows, str | None]:
            with reading(self._registry) as session:
                gateways, following = _ORDERS.page(session, query, asked)
                return _rows(session, actor, gateways), following

        return await asyncio.to_thread(load)

    async def get(self, actor: Actor, gateway: str) -> GatewayRow:
        """Returns one gateway.

        Raises:
            NotFound: there is none of this name, or it is elsewhere.
        """
        require(actor, Permission.READ)

        def load() -> GatewayRows:
            with reading(self._registry) as session:
                found = session.scalars(_seen(actor).where(Gateway.id == gateway)).all()
                return _rows(session, actor, found)

        rows = await asyncio.to_thread(load)
        if not rows:
            raise NotFound(worded("there is no gateway {gateway}", gateway=gateway))
        return rows[0]

    async def configuration(self, actor: Actor, gateway: str) -> str | None:
        """Returns the gateway.toml that a gateway confirmed last; None where it is not known here.

        Raises:
            NotPermitted: the actor may ask nothing of a gateway.
        """
        require(actor, Permission.REQUEST_COMMAND)
        require_everywhere(actor, "what a gateway is told")
        found = await asyncio.to_thread(known_files, self._authority, [gateway])
        return found[gateway].text if gateway in found else None

    async def dead_letters(self, actor: Actor, asked: Asked) -> tuple[DeadLetterRows, str | None]:
        """Returns dead letters, newest first by default, and the cursor of the next page."""
        require(actor, Permission.READ)
        require_everywhere(actor, "the list of dead letters")
        columns = (
            DeadLetter.id,
            DeadLetter.topic,
            DeadLetter.reason,
            DeadLetter.received_at,
            DeadLetter.digest,
            func.length(DeadLetter.payload),
        )

        def load() -> tuple[DeadLetterRows, str | None]:
            with reading(self._registry) as session:
                rows, following = _LETTERS.page(session, select(*columns), asked)
                return [DeadLetterRow(*row) for row in rows], following

        return await asyncio.to_thread(load)


def _seen(actor: Actor) -> Select[Gateway]:
    return select(Gateway).where(Gateway.deleted_at.is_(None), *gateway_terms(actor, Gateway.id))


def _rows(session: Session, actor: Actor, gateways: Sequence[Gateway]) -> GatewayRows:
    counts = _registered(session, actor, [gateway.id for gateway in gateways])
    return [_row(gateway, counts.get(gateway.id, 0)) for gateway in gateways]


def _registered(session: Session, actor: Actor, gateways: Collection[str]) -> dict[str, int]:
    """Returns how many meters that the actor sees are registered behind each of some gateways."""
    counts = narrowed(select(Meter.gateway_id, func.count()), actor).group_by(Meter.gateway_id)
    return {
        gateway: int(count)
        for some in batched(sorted(gateways))
        for gateway, count in session.execute(counts.where(Meter.gateway_id.in_(some)))
        if gateway is not None
    }


def _row(gateway: Gateway, registered: int) -> GatewayRow:
    told = gateway.attributes or {}
    expires = told.get("certificate_expires_at")
    return GatewayRow(
        id=gateway.id,
        state=gateway.state,
        version=gateway.version,
        last_seen_at=gateway.last_seen_at,
        started_at=gateway.started_at,
        backlog=gateway.backlog,
        oldest_unreceipted_at=gateway.oldest_unreceipted_at,
        meters_total=gateway.meters_total,
        meters_reachable=gateway.meters_reachable,
        meters_registered=registered,
        outbox_percent=gateway.outbox_percent,
        clock_offset_ms=gateway.clock_offset_ms,
        has_key=gateway.public_key is not None,
        signal_dbm=told.get("signal_dbm"),
        certificate_expires_at=datetime.fromisoformat(expires) if expires else None,
    )
