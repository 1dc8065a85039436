"""Alerts that were shelved come back by themselves when their time is over."""

from datetime import datetime

from sqlalchemy import case, select, update
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import Step, note
from hesper_cloud.db.alerting import ACKNOWLEDGED, NEW, SHELVED, Alert

BACK = {
    "state": case((Alert.acknowledged_at.is_(None), NEW), else_=ACKNOWLEDGED),
    "shelved_until": None,
    "shelved_by": None,
    "shelved_reason": None,
}
"""What of an alert changes when it is taken off the shelf: it is what it was before."""


def bring_back(session: Session, now: datetime) -> int:
    """Takes alerts off the shelf whose time is over; returns how many."""
    over = select(Alert.id).where(Alert.state == SHELVED, Alert.shelved_until <= now)
    ids = session.scalars(over).all()
    if ids:
        back = update(Alert).where(Alert.state == SHELVED, Alert.shelved_until <= now)
        session.execute(back.values({**BACK, "changed_at": now}))
        note(session, ids, Step.UNSHELVED, now, detail="its time was over")
    return len(ids)
