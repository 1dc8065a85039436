"""Tamper events raise an alert; their counterpart clears it.

An event code ``tamper.cover_opened`` raises, ``tamper.cover_closed`` clears; so do other codes of
the area whose last word says that something began or ended. One that has no counterpart stays
until a person has acknowledged it and it is a day old. Any gateway may raise an alert of a meter;
the end of it is believed from the one behind which the registry has the meter alone: a gateway that
somebody took over would else wipe out the traces at meters that are none of its own.

Logs are read in any order, and again from long ago, so the last word counts: an end ends nothing
that is told to have begun since, and what is known to have ended since is an alert that is over.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from hesper_contracts.events import Event
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import Step, note
from hesper_cloud.db import registry
from hesper_cloud.db.alerting import ACKNOWLEDGED, CLEARED, Alert
from hesper_cloud.db.engines import writing
from hesper_cloud.rules.alerts import Alerts, Subject

AREA = "tamper."
ENDINGS = ("_closed", "_restored", "_ended", "_cleared", "_normal")
BEGINNINGS = ("_opened", "_removed", "_detected", "_started")
KEPT_AFTER_ACKNOWLEDGEMENT = timedelta(days=1)


def _now() -> datetime:
    return datetime.now(UTC)


class TamperRule:
    """Follows new events inside the transaction that stores them."""

    def __init__(self, alerts: Alerts, clock: Callable[[], datetime] = _now) -> None:
        self._alerts = alerts
        self._clock = clock

    def event_stored(self, session: Session, gateway: str, event: Event) -> None:
        """Raises the alert that an event speaks of; clears it where the last word is its end."""
        if not event.code.startswith(AREA):
            return
        ending = next((each for each in ENDINGS if event.code.endswith(each)), None)
        beginning = next((each for each in BEGINNINGS if event.code.endswith(each)), "")
        rule = event.code.removesuffix(ending or beginning)
        behind = gateway if event.meter is None else None
        subject = Subject(rule, meter=event.meter, gateway=behind)
        if ending is None:
            text = event.text or event.code.removeprefix(AREA).replace("_", " ").capitalize() + "."
            self._alerts.raise_(subject, "critical", text, at=event.occurred_at, session=session)
        words = [*self._since(session, event, subject), (event.occurred_at, ending is not None)]
        if max(words)[1]:
            over = min(at for at, is_end in words if is_end)
            self._alerts.clear(subject, at=over, session=session)

    def _since(
        self, session: Session, event: Event, subject: Subject
    ) -> Iterator[tuple[datetime, bool]]:
        """Yields what is told to have followed an event by now: when, and whether it is an end."""
        stored = registry.Event
        whose = stored.meter == event.meter
        if event.meter is None:
            whose = stored.meter.is_(None) & (stored.gateway == subject.gateway)
        codes = [subject.rule + each for each in ("", *BEGINNINGS, *ENDINGS)]
        in_time = stored.occurred_at > event.occurred_at, stored.occurred_at <= self._clock()
        query = select(stored.occurred_at, stored.code).where(whose, stored.code.in_(codes))
        for at, code in session.execute(query.where(*in_time, stored.is_own())):
            yield at, code.endswith(ENDINGS)

    def foreign_stored(self, session: Session, gateway: str, event: Event) -> None:
        """Raises what another gateway than its own tells of a meter; clears nothing."""
        if not event.code.endswith(ENDINGS):
            self.event_stored(session, gateway, event)


def clear_acknowledged(engine: Engine, now: datetime) -> None:
    """Clears tamper alerts that a person acknowledged and that are a day old."""
    due = (
        Alert.rule.startswith(AREA),
        Alert.state == ACKNOWLEDGED,
        Alert.acknowledged_at < now - KEPT_AFTER_ACKNOWLEDGEMENT,
    )
    with writing(engine) as session:
        ids = session.scalars(select(Alert.id).where(*due)).all()
        gone = {"state": CLEARED, "cleared_at": now, "changed_at": now}
        session.execute(update(Alert).where(*due).values(gone))
        note(session, ids, Step.CLEARED, now)
