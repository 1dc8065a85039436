"""Alerts as services give them out, beside the row of a list."""

from dataclasses import dataclass
from datetime import datetime

from hesper_cloud.db.alerting import Alert
from hesper_cloud.services.records import AlertRow
from hesper_cloud.worded import restored


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; those that gave way to a parent only where they are asked for."""

    state: str | None = None  # new | acknowledged | shelved | cleared | open
    severity: str | None = None
    rule: str | None = None
    meter: str | None = None
    gateway: str | None = None
    element: str | None = None
    area: str | None = None
    group: str | None = None
    assigned_to: str | None = None  # a user's name, or "nobody"
    parent: int | None = None  # then its children
    suppressed: bool | None = None  # None: no, but with a meter or a parent
    min_priority: int | None = None
    since: datetime | None = None  # raised then or later
    until: datetime | None = None  # raised before
    ids: tuple[int, ...] | None = None  # these and no others


@dataclass(frozen=True, slots=True)
class NoteRow:
    """What a person wrote to an alert."""

    id: int
    at: datetime
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step in the life of an alert; nobody did what happened by itself."""

    at: datetime
    who: str | None
    action: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class AlertDetail:
    """One alert with its notes and history, oldest first, and how many are hidden below it."""

    alert: AlertRow
    notes: list[NoteRow]
    history: list[StepRow]
    children_count: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Alerts that are held for one action on all of them; whoever acts says the count again."""

    id: str
    count: int
    by_severity: dict[str, int]
    by_state: dict[str, int]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an action on a selection."""

    changed: int
    passed_over: int  # in a state in which it means nothing, or gone


@dataclass(frozen=True, slots=True)
class AlertRates:
    """New alerts by spans of ten minutes, the newest last."""

    until: datetime
    per_10_min: list[int]
    limit: int  # more in one span are a flood


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
        text=restored(alert.text, alert.said),
        element=alert.element,
        area=alert.area,
        group=alert.group_key,
        parent=alert.parent_id,
        suppressed=alert.suppressed,
        priority=alert.priority,
        affected_count=alert.affected_count,
        count=alert.count,
        last_seen_at=alert.last_seen_at,
        shelved_until=alert.shelved_until,
        shelved_by=alert.shelved_by,
        shelved_reason=alert.shelved_reason,
        assigned_to=alert.assigned_to,
        extent=alert.extent,
    )
