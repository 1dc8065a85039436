"""The outbox kept in order: what is too old is given up, what is settled is forgotten, counts."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select, update

from hesper_cloud import metrics
from hesper_cloud.alert_settings import DeliverySettings
from hesper_cloud.db.delivery import Delivery, DeliveryTarget
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.delivery.routing import EXPIRED, MUTED, SENT, WAITING

log = logging.getLogger(__name__)
KINDS = ("email", "webhook", "mqtt")


def expire(engine: Engine, settings: DeliverySettings, now: datetime) -> None:
    """Gives up what no target took in time, and says so."""
    before = now - timedelta(days=settings.expire_days)
    old = (Delivery.state == WAITING) & (Delivery.made_at < before)
    with reading(engine) as session:
        count = session.scalar(select(func.count()).where(old)) or 0
    if not count:
        return
    reason = f"not delivered within {settings.expire_days} days"
    with writing(engine) as session:
        session.execute(update(Delivery).where(old).values(state=EXPIRED, reason=reason))
    log.error("%d messages about alerts were %s", count, reason)
    metrics.DELIVERIES.labels("any", "expired").inc(count)


def measure(engine: Engine, now: datetime) -> None:
    """Tells Prometheus how much waits, and how long."""
    waiting = Delivery.state == WAITING
    by_kind = (
        select(DeliveryTarget.kind, func.count())
        .join(Delivery, Delivery.target_id == DeliveryTarget.id)
        .where(waiting)
        .group_by(DeliveryTarget.kind)
    )
    first = func.min(Delivery.made_at, type_=Delivery.made_at.type)
    with reading(engine) as session:
        counts = {row[0]: int(row[1]) for row in session.execute(by_kind)}
        oldest = session.scalar(select(first).where(waiting, Delivery.due_at <= now))
    for kind in KINDS:
        metrics.DELIVERIES_WAITING.labels(kind).set(counts.get(kind, 0))
    metrics.DELIVERY_OLDEST.set((now - oldest).total_seconds() if oldest else 0)


def forget(engine: Engine, settings: DeliverySettings, now: datetime) -> None:
    """Removes messages that were settled long ago, with their attempts."""
    before = now - timedelta(days=settings.kept_days)
    settled = Delivery.state.in_((SENT, EXPIRED, MUTED))
    with writing(engine) as session:
        session.execute(delete(Delivery).where(settled, Delivery.made_at < before))
