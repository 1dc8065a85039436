"""Tables of delivery: where alerts go, by which rules, what is on its way and what was tried."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, true
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class DeliveryTarget(RegistryBase):
    """One place that alerts are told: a mail server with recipients, a webhook, a topic."""

    __tablename__ = "delivery_targets"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))  # email | webhook | mqtt
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())
    config: Mapped[dict[str, Any]]
    wrapped_key: Mapped[bytes | None]  # of its secret, as the vault locked it
    sealed_secret: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1)
    made_by: Mapped[str]
    changed_at: Mapped[datetime]
    succeeded_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)  # since it last succeeded
    problem: Mapped[str | None] = mapped_column(Text)


class DeliveryRoute(RegistryBase):
    """Which alerts a target is told, and when they may wait."""

    __tablename__ = "delivery_routes"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    target_id: Mapped[int] = mapped_column(
        ForeignKey("delivery_targets.id", ondelete="CASCADE"), index=True
    )
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())
    policy: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(default=1)
    changed_at: Mapped[datetime]


class Delivery(RegistryBase):
    """One message to one target, kept until it is delivered."""

    __tablename__ = "deliveries"
    __table_args__ = (Index(None, "state", "due_at"), Index(None, "target_id", "id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(36), unique=True)  # the same at every attempt
    target_id: Mapped[int] = mapped_column(ForeignKey("delivery_targets.id", ondelete="CASCADE"))
    route_id: Mapped[int | None] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(16))  # alert | digest | test
    state: Mapped[str] = mapped_column(String(16))  # held | waiting | sent | muted | expired
    entries: Mapped[dict[str, Any]]  # {"changes": [...]}, each a change of an alert as it was
    made_at: Mapped[datetime] = mapped_column(index=True)
    due_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)  # why it waits, or was not sent


class DeliveryAttempt(RegistryBase):
    """One try to deliver a message, and what the other side said."""

    __tablename__ = "delivery_attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime] = mapped_column(index=True)
    took_ms: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(16))  # sent | failed
    answer: Mapped[str | None] = mapped_column(Text)


class DeliveryCursor(RegistryBase):
    """How far delivery has followed the changes of alerts."""

    __tablename__ = "delivery_cursors"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
