"""Supplies that were cut and are found connected, though nobody here told them to be.

A relay that stood open by its last confirmed state and is seen closed is a suspect, noted in the
transaction that shows the new state. What excuses it may come later, as event logs are read by the
hour: a command of ours that reconnects or arms, or the meter's word that its button was pressed (or
that it closed by itself after a limit). When none came in time the alert is raised; it goes when an
excuse turns up after all, when the relay is open again, when the meter is in service no longer (its
relay cuts nobody's supply), or a day after a person acknowledged it.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, not_, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.listed import listed
from hesper_cloud.db.registry import Alert, Event, Meter
from hesper_cloud.db.rules import RuleMemory
from hesper_cloud.db.upserts import insert_several
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.rules.book import RAISED, WAITING, utc
from hesper_cloud.rules.built_in import settings_of
from hesper_cloud.worded import worded

RULE = "reconnected-without-command"
_CONNECTS = ("relay.reconnect", "relay.arm", "tunnel.open")
_PRESSED = ("relay.closed_by_hand", "relay.closed_locally")
_AROUND = timedelta(minutes=15)
"""Clocks of meters and gateways may differ by so much."""
_ACKNOWLEDGED_FOR = timedelta(days=1)


def suspect(session: Session, closed_at: dict[str, datetime]) -> None:
    """Notes meters whose relay is seen closed and stood open; call before the state is shown."""
    names: Collection[str] = closed_at
    query = select(Meter.id, Meter.relay_confirmed_at).where(
        Meter.id.in_(listed(session, names)), Meter.relay_output.is_(False)
    )
    rows = [
        {
            "rule": RULE,
            "subject": meter,
            "phase": WAITING,
            "since": closed_at[meter],
            "facts": {"open_at": int(open_at.timestamp())},
        }
        for meter, open_at in session.execute(query)
        if open_at is not None and open_at < closed_at[meter]
    ]
    insert_several(session, RuleMemory, rows)


class ReconnectedCheck:
    """Looks for excuses of the suspects, in the authority's commands and in the event logs."""

    def __init__(
        self, engine: Engine, authority: Engine, alerts: Alerts, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._authority = authority
        self._alerts = alerts
        self._clock = clock

    def turn(self) -> None:
        """Judges every suspect."""
        now = self._clock()
        with reading(self._engine) as session:
            wanted = settings_of(session, RULE)
            suspects = session.scalars(select(RuleMemory).where(RuleMemory.rule == RULE)).all()
            excused = {each.subject for each in suspects if self._excuse(session, each)}
            gone = excused | _over(session, [each.subject for each in suspects], now)
        late = now - timedelta(seconds=wanted.thresholds["excuses_within_s"])
        told = [
            each
            for each in suspects
            if each.subject not in gone and each.phase == WAITING and each.since <= late
        ]
        if not wanted.is_on:
            gone, told = {each.subject for each in suspects}, []
        if gone or told:
            with writing(self._engine) as session:
                self._settle(session, gone, told, now)

    def _excuse(self, session: Session, found: RuleMemory) -> bool:
        start = utc(int(found.facts["open_at"])) - _AROUND
        end = found.since + _AROUND
        pressed = select(Event.id).where(
            Event.meter == found.subject,
            Event.code.in_(_PRESSED),
            Event.occurred_at.between(start, end),
            Event.is_own(),
        )
        if session.scalars(pressed.limit(1)).first() is not None:
            return True
        ours = select(CommandRecord.id).where(
            CommandRecord.meter == found.subject,
            CommandRecord.kind.in_(_CONNECTS),
            CommandRecord.sent_at.between(start, end),
        )
        with reading(self._authority) as commands:
            return commands.scalars(ours.limit(1)).first() is not None

    def _settle(
        self, session: Session, gone: set[str], told: list[RuleMemory], now: datetime
    ) -> None:
        for meter in gone:
            session.execute(
                delete(RuleMemory).where(RuleMemory.rule == RULE, RuleMemory.subject == meter)
            )
        self._alerts.clear_all([(Subject(RULE, meter=meter), now) for meter in gone], session)
        for each in told:
            row = session.get(RuleMemory, (RULE, each.subject))
            if row is not None:
                row.phase = RAISED
        self._alerts.raise_all([_telling(each) for each in told], session)


def _telling(found: RuleMemory) -> Telling:
    open_at = utc(int(found.facts["open_at"]))
    text = worded(
        "The supply stood disconnected at {open_at} UTC and is connected since {since} UTC at the "
        "latest, without a command or a press of the button.",
        open_at=f"{open_at:%F %R}",
        since=f"{found.since:%F %R}",
    )
    return Telling(Subject(RULE, meter=found.subject), "critical", text, found.since)


def _over(session: Session, meters: list[str], now: datetime) -> set[str]:
    """Returns suspects whose relay is open again or cuts nobody, and those that are dealt with."""
    names = listed(session, meters)
    opened = select(Meter.id).where(
        Meter.id.in_(names), or_(Meter.relay_output.is_(False), not_(in_service()))
    )
    seen = select(Alert.meter).where(
        Alert.rule == RULE,
        Alert.meter.in_(names),
        Alert.state != "cleared",
        Alert.acknowledged_at < now - _ACKNOWLEDGED_FOR,
    )
    return set(session.scalars(opened)) | {each for each in session.scalars(seen) if each}
