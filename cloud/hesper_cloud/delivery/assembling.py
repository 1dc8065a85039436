"""Puts a message together out of the changes that it tells of."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.alerting import Alert, AlertChange
from hesper_cloud.db.delivery import Delivery
from hesper_cloud.db.reports import Report
from hesper_cloud.delivery.messages import REPORT, Entry, Message, Told
from hesper_cloud.delivery.routes import told_as


def assembled(session: Session, delivery: int, console_url: str = "") -> Message | None:
    """Returns a message as it goes out now; None when all it is about was erased meanwhile."""
    row = session.get_one(Delivery, delivery)
    if row.kind == REPORT:
        return _of_report(session, row, console_url)
    ids = row.entries.get("changes", [])
    query = (
        select(AlertChange, Alert)
        .join(Alert, Alert.id == AlertChange.alert_id)
        .where(AlertChange.id.in_(ids))
        .order_by(AlertChange.id)
    )
    entries = tuple(_entry(change, alert) for change, alert in session.execute(query))
    if not entries and row.kind != "test":
        return None
    return Message(row.message_id, row.kind, row.made_at, entries, console_url)


def _of_report(session: Session, row: Delivery, console_url: str) -> Message | None:
    report = session.get(Report, row.entries.get("report"))
    if report is None or report.removed_at is not None:
        return None
    zone = ZoneInfo(report.zone)
    first = report.from_at.astimezone(zone).date()
    last = report.to_at.astimezone(zone).date() - timedelta(days=1)
    told = Told(
        number=report.id,
        title=report.title,
        days=f"{first}" if first == last else f"{first} to {last}",
        area=report.area or "all areas",
        row_count=report.row_count,
        files=tuple(row.entries.get("files", ())),
    )
    return Message(row.message_id, row.kind, row.made_at, console_url=console_url, report=told)


def _entry(change: AlertChange, alert: Alert) -> Entry:
    return Entry(
        change=change.id,
        what=told_as(change.action),
        at=change.at,
        alert=alert.id,
        rule=alert.rule,
        severity=alert.severity,
        state=alert.state,
        text=alert.text,
        raised_at=alert.raised_at,
        cleared_at=alert.cleared_at,
        meter=alert.meter,
        gateway=alert.gateway,
        element=alert.element,
        area=alert.area,
        priority=alert.priority,
        affected_count=alert.affected_count,
        extent=alert.extent,
    )
