"""Alerts: listed, and acknowledged by a person who has seen them."""

import asyncio
import uuid

from sqlalchemy import Select, case, select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound, Refused
from hesper_cloud.services.records import AlertRow
from hesper_cloud.services.scope import narrowed
from hesper_cloud.services.sources import Sources, require

SEVERITIES = ("critical", "warning", "info")
AlertRows = list[AlertRow]
_MAX_ROWS = 1000


class Alerts:
    """What the rules raised."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def list(
        self,
        actor: Actor,
        state: str | None = None,
        severity: str | None = None,
        limit: int = 200,
        meter: str | None = None,
    ) -> AlertRows:
        """Returns alerts, worst and newest first; ``state`` may be ``open``."""
        require(actor, Permission.READ)
        rank = case({name: place for place, name in enumerate(SEVERITIES)}, value=Alert.severity)
        query = narrowed(select(Alert), actor, Alert.meter, Alert.gateway)
        query = query.order_by(rank, Alert.raised_at.desc())
        if state == "open":
            query = query.where(Alert.state != "cleared")
        elif state:
            query = query.where(Alert.state == state)
        if severity:
            query = query.where(Alert.severity == severity)
        if meter:
            query = query.where(Alert.meter == meter)
        return await asyncio.to_thread(self._rows, query.limit(min(limit, _MAX_ROWS)))

    async def acknowledge(self, actor: Actor, alert_id: int, note: str) -> AlertRow:
        """Marks an alert as seen; audited before it is marked.

        Raises:
            NotFound: there is no such alert.
            Refused: it is acknowledged or cleared already.
        """
        require(actor, Permission.ACKNOWLEDGE_ALERT)
        found = await asyncio.to_thread(self._rows, _one(actor, alert_id))
        if not found:
            raise NotFound(f"there is no alert {alert_id}")
        alert = found[0]
        if alert.state != "new":
            raise Refused(f"the alert is {alert.state}")
        payload = {
            "action": "alert.acknowledge",
            "subject": f"alert {alert_id} {alert.rule} {alert.meter or alert.gateway or ''}",
            "before": alert.state,
            "after": "acknowledged",
            "why": note,
        }
        await self._link.ask(actor, "audit.note", payload, f"ack-{alert_id}-{uuid.uuid4().hex}")
        await asyncio.to_thread(self._mark, actor, alert_id, note)
        return (await asyncio.to_thread(self._rows, _one(actor, alert_id)))[0]

    def _mark(self, actor: Actor, alert_id: int, note: str) -> None:
        with writing(self._sources.registry) as session:
            alert = session.get_one(Alert, alert_id)
            if alert.state == "new":
                alert.state, alert.note = "acknowledged", note or None
                alert.acknowledged_by = actor.username
                alert.acknowledged_at = self._sources.clock()

    def _rows(self, query: Select[Alert]) -> AlertRows:
        with reading(self._sources.registry) as session:
            return [alert_row(alert) for alert in session.scalars(query)]


def _one(actor: Actor, alert_id: int) -> Select[Alert]:
    query = select(Alert).where(Alert.id == alert_id)
    return narrowed(query, actor, Alert.meter, Alert.gateway)


def alert_row(alert: Alert) -> AlertRow:
    """Returns a stored alert as the record that services give out."""
    return AlertRow(
        id=alert.id,
        rule=alert.rule,
        meter=alert.meter,
        gateway=alert.gateway,
        severity=alert.severity,
        state=alert.state,
        raised_at=alert.raised_at,
        cleared_at=alert.cleared_at,
        acknowledged_by=alert.acknowledged_by,
        acknowledged_at=alert.acknowledged_at,
        note=alert.note,
        text=alert.text,
    )
