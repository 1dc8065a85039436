"""Tables of alerts: what is wrong, what hangs together, and what became of each."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase

NEW, ACKNOWLEDGED, SHELVED, CLEARED = "new", "acknowledged", "shelved", "cleared"
OPEN_STATES = (NEW, ACKNOWLEDGED, SHELVED)


class Alert(RegistryBase):
    """One alert from the moment a rule raises it until the rule clears it.

    One that gives way to another (its parent: a gateway that is down, a feeder that is lost) is
    suppressed: kept and followed, but not shown, counted or told by itself.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        Index(None, "state", "severity"),
        Index(None, "rule", "meter", "state"),
        Index(None, "state", "suppressed", "priority"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str]
    meter: Mapped[str | None] = mapped_column(index=True)
    gateway: Mapped[str | None]
    severity: Mapped[str]  # info | warning | critical
    state: Mapped[str] = mapped_column(default=NEW)  # new | acknowledged | shelved | cleared
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(Text)  # of the acknowledgement
    text: Mapped[str] = mapped_column(Text)
    said: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # its wording
    element: Mapped[str | None] = mapped_column(String(64))  # of the topology
    area: Mapped[str | None]  # of its meter, or of all its meters
    symptom: Mapped[bool] = mapped_column(default=False, server_default=false())  # may be no news
    group_key: Mapped[str | None] = mapped_column(String(160), index=True)  # the root cause
    parent_id: Mapped[int | None] = mapped_column(index=True)
    suppressed: Mapped[bool] = mapped_column(default=False, server_default=false())
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    affected_count: Mapped[int] = mapped_column(default=1, server_default="1")  # customers
    count: Mapped[int] = mapped_column(default=1, server_default="1")  # how often it was told
    last_seen_at: Mapped[datetime | None]  # when it was told last
    shelved_until: Mapped[datetime | None] = mapped_column(index=True)
    shelved_by: Mapped[str | None]
    shelved_reason: Mapped[str | None] = mapped_column(Text)
    assigned_to: Mapped[str | None]
    extent: Mapped[dict[str, Any] | None]  # of one that stands for many
    changed_at: Mapped[datetime | None] = mapped_column(index=True)


class AlertNote(RegistryBase):
    """What a person wrote to an alert."""

    __tablename__ = "alert_notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    author: Mapped[str]
    text: Mapped[str] = mapped_column(Text)


class AlertChange(RegistryBase):
    """One step in the life of an alert; delivery follows them in the order of their ids.

    No id is given twice, also not that of a step which was erased: delivery has passed it.
    """

    __tablename__ = "alert_changes"
    __table_args__ = (Index(None, "action", "at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    who: Mapped[str | None]  # None: by itself
    action: Mapped[str] = mapped_column(String(24))
    detail: Mapped[str | None] = mapped_column(Text)


class AlertSelection(RegistryBase):
    """Alerts that a filter found, held for one action on all of them."""

    __tablename__ = "alert_selections"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(index=True)
    filter: Mapped[dict[str, Any]]
    alerts: Mapped[dict[str, Any]]  # {"ids": [...]}
    used_at: Mapped[datetime | None]
