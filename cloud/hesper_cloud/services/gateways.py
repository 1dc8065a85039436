"""Gateways as they last reported themselves, with what is registered behind them."""

import asyncio
from datetime import datetime

from sqlalchemy import func, select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import DeadLetter, Gateway, Meter
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.known_files import known_files
from hesper_cloud.services.records import DeadLetterRow, GatewayRow
from hesper_cloud.services.scope import gateway_terms, narrowed, require_everywhere
from hesper_cloud.services.sources import Sources, require

GatewayRows = list[GatewayRow]
DeadLetterRows = list[DeadLetterRow]


class Gateways:
    """Gateways, and what arrived and could not be decoded."""

    def __init__(self, sources: Sources) -> None:
        self._registry = sources.registry
        self._authority = sources.authority

    async def list(self, actor: Actor) -> GatewayRows:
        """Returns all gateways by name."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._rows, actor)

    async def get(self, actor: Actor, gateway: str) -> GatewayRow:
        """Returns one gateway.

        Raises:
            NotFound: there is none of this name, or it is elsewhere.
        """
        require(actor, Permission.READ)
        rows = await asyncio.to_thread(self._rows, actor, gateway)
        if not rows:
            raise NotFound(f"there is no gateway {gateway}")
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

    async def dead_letters(self, actor: Actor, limit: int = 100) -> DeadLetterRows:
        """Returns the newest dead letters."""
        require(actor, Permission.READ)
        require_everywhere(actor, "the list of dead letters")
        return await asyncio.to_thread(self._dead_letters, limit)

    def _rows(self, actor: Actor, only: str | None = None) -> GatewayRows:
        counts = narrowed(select(Meter.gateway_id, func.count()), actor)
        counts = counts.group_by(Meter.gateway_id)
        own = select(Gateway).where(Gateway.deleted_at.is_(None), *gateway_terms(actor, Gateway.id))
        if only is not None:
            counts, own = counts.where(Meter.gateway_id == only), own.where(Gateway.id == only)
        with reading(self._registry) as session:
            registered = {gateway: int(count) for gateway, count in session.execute(counts)}
            gateways = session.scalars(own.order_by(Gateway.id)).all()
        return [_row(gateway, registered.get(gateway.id, 0)) for gateway in gateways]

    def _dead_letters(self, limit: int) -> DeadLetterRows:
        size = func.length(DeadLetter.payload)
        query = select(DeadLetter, size).order_by(DeadLetter.id.desc()).limit(limit)
        with reading(self._registry) as session:
            return [
                DeadLetterRow(row.id, row.topic, row.reason, row.received_at, row.digest, octets)
                for row, octets in session.execute(query)
            ]


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
