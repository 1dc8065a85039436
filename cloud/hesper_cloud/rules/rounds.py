"""Rules that need history: absence, figures over places, events that time ends; every five minutes.

What a round finds is compared with what the rule remembers in the database, so it does not matter
which process runs it or when the last one was.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import Event, Meter, RuleTrial
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules import book, scopes
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.book import Running, utc
from hesper_cloud.rules.definition import Absence, Aggregate, EventCount, EventSequence
from hesper_cloud.rules.figures import judged, of_values, with_events
from hesper_cloud.rules.happenings import looked_at_again
from hesper_cloud.rules.levels import Mark, moved
from hesper_cloud.rules.verdicts import Finding, write

log = logging.getLogger(__name__)
PER_TRANSACTION = 2_000
LOOKED_AT_TOGETHER = 200
TRIALS_KEPT = timedelta(days=90)


class Rounds:
    """Goes through the rules that readings and events by themselves do not settle."""

    def __init__(
        self,
        engine: Engine,
        alerts: Alerts,
        latest: LatestValues,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._alerts = alerts
        self._latest = latest
        self._clock = clock

    def turn(self) -> None:
        """Looks at every such rule once."""
        now = int(self._clock().timestamp())
        with reading(self._engine) as session:
            rules = book.load(session, utc(now))
        for rule in rules:
            self._leavers(rule, now)
            match rule.definition.condition:
                case Absence():
                    self._absence(rule, rule.definition.condition, now)
                case Aggregate():
                    self._aggregate(rule, rule.definition.condition, now)
                case EventCount() | EventSequence():
                    self._events(rule, now)
                case _:
                    continue

    def forget(self) -> None:
        """Removes what rules on trial would have raised long ago."""
        with writing(self._engine) as session:
            old = RuleTrial.raised_at < self._clock() - TRIALS_KEPT
            session.execute(delete(RuleTrial).where(old))

    def _leavers(self, rule: Running, now: int) -> None:
        """Clears what was told of meters that the rule is not for any more."""
        if isinstance(rule.definition.condition, Aggregate):
            return
        gone = [m for m in rule.marks if not rule.is_for(m)]
        changes = [moved(meter, now, rule.marks.pop(meter), None) for meter in gone]
        self._write(rule, [Finding(each, {}) for each in changes if each is not None])

    def _absence(self, rule: Running, condition: Absence, now: int) -> None:
        with reading(self._engine) as session:
            heard = _heard(session, self._latest, condition)
        findings = []
        for meter, at in heard.items():
            if not rule.is_for(meter):
                continue
            before = rule.marks.get(meter)
            absent = now - at >= condition.after_s
            after = Mark(at, True) if absent else None
            if absent and before is not None and before.raised:
                continue
            moment = at + condition.after_s if absent else max(at, before.since if before else at)
            change = moved(meter, moment, before, after)
            if change is not None:
                findings.append(Finding(change, {"since": f"{utc(at):%F %T} UTC"}))
        self._write(rule, findings)

    def _aggregate(self, rule: Running, condition: Aggregate, now: int) -> None:
        of = rule.members if rule.members is None else frozenset(rule.members)
        with reading(self._engine) as session:
            groups = scopes.groups(session, condition.over, of, utc(now))
            figures = (
                with_events(session, condition, groups, now)
                if condition.function == "events"
                else of_values(self._latest, condition, groups, now)
            )
        findings = []
        for figure in figures:
            found = judged(condition, figure, rule.marks, now)
            if found is not None:
                findings.append(found)
        there = {group.id for group in groups}
        for place in rule.marks.keys() - there:
            change = moved(place, now, rule.marks[place], None)
            if change is not None:
                findings.append(Finding(change, {}, condition.over))
        self._write(rule, findings)

    def _events(self, rule: Running, now: int) -> None:
        """Looks again at the meters that the rule remembers: time may have ended or begun it."""
        meters = sorted(rule.marks)
        for names in batched(meters, LOOKED_AT_TOGETHER):
            with writing(self._engine) as session:
                for meter in names:
                    looked_at_again(session, self._alerts, rule, meter, (now, now))

    def _write(self, rule: Running, findings: list[Finding]) -> None:
        for start in range(0, len(findings), PER_TRANSACTION):
            with writing(self._engine) as session:
                write(session, self._alerts, rule, findings[start : start + PER_TRANSACTION])


def _heard(session: Session, latest: LatestValues, condition: Absence) -> dict[str, int]:
    """Returns when each meter was last heard of, in the sense of a condition."""
    if condition.codes:
        newest = (
            select(Event.meter, func.max(Event.occurred_at, type_=Event.occurred_at.type))
            .where(Event.code.in_(condition.codes), Event.meter.is_not(None), Event.is_own())
            .group_by(Event.meter)
        )
        told = {m: int(at.timestamp()) for m, at in session.execute(newest) if m is not None}
        return {m: told.get(m, at) for m, at in _since_known(session).items()}
    if condition.logical_name is None:
        contacts = select(Meter.id, Meter.last_contact_at).where(Meter.last_contact_at.is_not(None))
        return {m: int(at.timestamp()) for m, at in session.execute(contacts) if at}
    found = latest.newest(condition.logical_name)
    return dict(zip(found.meters, found.captured_at.tolist(), strict=True))


def _since_known(session: Session) -> dict[str, int]:
    known = select(Meter.id, Meter.first_seen_at).where(Meter.deleted_at.is_(None))
    return {meter: int(at.timestamp()) for meter, at in session.execute(known)}
