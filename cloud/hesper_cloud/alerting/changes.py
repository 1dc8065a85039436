"""Steps in the life of alerts, written with what they change."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.orm import Session

from hesper_cloud.db.alerting import OPEN_STATES, Alert, AlertChange


class Step(StrEnum):
    """What happened to an alert."""

    RAISED = "raised"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    ASSIGNED = "assigned"
    NOTED = "noted"
    HIDDEN = "hidden"  # gave way to its parent
    SURFACED = "surfaced"  # its parent is gone, it is not
    GREW = "grew"  # stands for twice as many as when this was last told
    WORSENED = "worsened"  # is of a higher severity than before
    TOLD = "told"  # to a target of delivery


def note(
    session: Session,
    alerts: Iterable[int],
    step: Step,
    at: datetime,
    who: str | None = None,
    detail: str | None = None,
) -> None:
    """Adds one step to the history of some alerts."""
    same = {"at": at, "who": who, "action": step.value, "detail": detail}
    rows = [{"alert_id": each, **same} for each in alerts]
    if rows:
        session.execute(insert(AlertChange), rows)


def is_open() -> ColumnElement[bool]:
    """Returns the condition that an alert is not cleared."""
    return Alert.state.in_(OPEN_STATES)


def history(session: Session, alert: int) -> Sequence[AlertChange]:
    """Returns the steps of one alert, oldest first."""
    query = select(AlertChange).where(AlertChange.alert_id == alert).order_by(AlertChange.id)
    return session.scalars(query).all()
