"""Alerts written in bulk: any number is raised or cleared by a few statements.

At most one alert is open per subject (rule, meter, gateway, element). One that is told again is
counted, at most once a minute, so that a rule may say the same every two seconds. One that became
more severe says so at once, and its extent is that of its last count.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hesper_contracts.events import Severity
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import Step, is_open, note
from hesper_cloud.alerting.priority import is_worse, priority
from hesper_cloud.db.alerting import CLEARED, NEW, Alert
from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.worded import wording

_COUNTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about: a rule, and the meter, gateway or element of the topology."""

    rule: str
    meter: str | None = None
    gateway: str | None = None
    element: str | None = None


@dataclass(frozen=True, slots=True)
class Telling:
    """What a rule has to tell of a subject.

    A symptom is what a greater cause may explain: it gives way to the alert of a gateway that is
    down, or of an element, while that is open.
    """

    subject: Subject
    severity: Severity
    text: str
    at: datetime
    symptom: bool = False
    affected_count: int | None = None
    """Customers concerned; where none is given: one, or all that are behind the gateway."""
    area: str | None = None
    """Where it is; where none is given: the area of the meter or gateway."""


@dataclass(frozen=True, slots=True)
class _Open:
    """What must be known of an open alert."""

    id: int
    last_seen_at: datetime | None
    severity: str
    affected_count: int

    def is_due(self, now: datetime) -> bool:
        """Says whether it is to be counted again."""
        return self.last_seen_at is None or abs(now - self.last_seen_at) >= _COUNTED_EVERY


def raise_all(session: Session, told: Sequence[Telling], now: datetime) -> list[int]:
    """Raises an alert for each subject that has none open; returns the ids of the new ones."""
    by_subject = {each.subject: each for each in told}
    known = _open(session, by_subject)
    _keep_true(session, by_subject, known, now)
    again = [found.id for found in known.values() if found.is_due(now)]
    for ids in batched(again):
        seen = {"count": Alert.count + 1, "last_seen_at": now}
        session.execute(update(Alert).where(Alert.id.in_(ids)).values(seen))
    fresh = [each for subject, each in by_subject.items() if subject not in known]
    if not fresh:
        return []
    places = _Places(session, fresh)
    rows = [_row(each, places, now) for each in fresh]
    raised = list(session.scalars(insert(Alert).returning(Alert.id), rows))
    note(session, raised, Step.RAISED, now)
    return raised


def _keep_true(
    session: Session, told: Mapping[Subject, Telling], known: Mapping[Subject, _Open], now: datetime
) -> None:
    """Has open alerts say what became worse, and whom they concern by now."""
    for subject, found in known.items():
        each, values = told[subject], dict[str, object]()
        if is_worse(each.severity, found.severity):
            values["severity"] = each.severity
            note(session, [found.id], Step.WORSENED, now, detail=each.severity)
        if each.affected_count not in (None, found.affected_count) and found.is_due(now):
            values["affected_count"] = each.affected_count
        if values:
            values |= {"text": str(each.text), "said": wording(each.text)}
            session.execute(update(Alert).where(Alert.id == found.id).values(values))


def clear_all(
    session: Session, over: Sequence[tuple[Subject, datetime]], now: datetime
) -> list[int]:
    """Clears the open alerts of subjects, each at its moment; returns which there were."""
    moments = dict(over)
    known = _open(session, moments)
    by_moment: dict[datetime, list[int]] = defaultdict(list)
    for subject, found in known.items():
        by_moment[moments[subject]].append(found.id)
    for at, ids in by_moment.items():
        for some in batched(ids):
            gone = {"state": CLEARED, "cleared_at": at, "shelved_until": None, "changed_at": now}
            session.execute(update(Alert).where(Alert.id.in_(some)).values(gone))
    cleared = [found.id for found in known.values()]
    note(session, cleared, Step.CLEARED, now)
    return cleared


def cause_of(subject: Subject) -> str:
    """Returns the group of an alert that has no parent: all of one rule, or one element."""
    if subject.element is not None:
        return f"element/{subject.element}"
    if subject.gateway is not None and subject.meter is None:
        return f"gateway/{subject.gateway}"
    return f"rule/{subject.rule.partition('/')[0]}"[:160]


def _row(each: Telling, places: "_Places", now: datetime) -> dict[str, object]:
    subject = each.subject
    customers = each.affected_count
    if customers is None:
        customers = places.affected(subject)
    return {
        "rule": subject.rule,
        "meter": subject.meter,
        "gateway": subject.gateway,
        "element": subject.element,
        "severity": each.severity,
        "state": NEW,
        "raised_at": each.at,
        "text": str(each.text),
        "said": wording(each.text),
        "area": each.area or places.area(subject),
        "symptom": each.symptom,
        "group_key": cause_of(subject),
        "priority": priority(each.severity, (now - each.at).total_seconds(), customers),
        "affected_count": customers,
        "last_seen_at": now,
        "changed_at": now,
    }


class _Places:
    """Areas of the subjects of new alerts, and how many meters are behind their gateways."""

    def __init__(self, session: Session, told: Iterable[Telling]) -> None:
        subjects = [each.subject for each in told]
        meters = [each.meter for each in subjects if each.meter is not None]
        self._meters: dict[str, str | None] = {}
        for names in batched(meters):
            areas = select(Meter.id, Meter.area).where(Meter.id.in_(names))
            self._meters.update({row[0]: row[1] for row in session.execute(areas)})
        gateways = {each.gateway for each in subjects if each.meter is None and each.gateway}
        self._gateways: dict[str, str | None] = {}
        self._behind: dict[str | None, int] = {}
        if gateways:
            of = select(Gateway.id, Gateway.area).where(Gateway.id.in_(gateways))
            self._gateways = {row[0]: row[1] for row in session.execute(of)}
            behind = select(Meter.gateway_id, func.count()).where(Meter.gateway_id.in_(gateways))
            counted = session.execute(behind.group_by(Meter.gateway_id))
            self._behind = {row[0]: int(row[1]) for row in counted}

    def area(self, subject: Subject) -> str | None:
        if subject.meter is not None:
            return self._meters.get(subject.meter)
        return self._gateways.get(subject.gateway or "")

    def affected(self, subject: Subject) -> int:
        if subject.meter is not None:
            return 1
        return self._behind.get(subject.gateway, 0)


def _open(session: Session, subjects: Iterable[Subject]) -> dict[Subject, _Open]:
    """Returns which of the subjects have an open alert."""
    wanted = set(subjects)
    found: dict[Subject, _Open] = {}
    for rule, meters in _asked(wanted):
        query = select(
            Alert.meter, Alert.gateway, Alert.element,
            Alert.id, Alert.last_seen_at, Alert.severity, Alert.affected_count,
        ).where(Alert.rule == rule, is_open())  # fmt: skip
        query = query.where(Alert.meter.in_(meters) if meters else Alert.meter.is_(None))
        for row in session.execute(query):
            subject = Subject(rule, *row[:3])
            if subject in wanted:
                found[subject] = _Open(*row[3:])
    return found


def _asked(subjects: Iterable[Subject]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yields rules with as many meters as a query may name; none for what is about no meter."""
    by_rule: dict[str, set[str | None]] = defaultdict(set)
    for each in subjects:
        by_rule[each.rule].add(each.meter)
    for rule, meters in by_rule.items():
        if None in meters:
            yield rule, ()
        for names in batched(sorted(each for each in meters if each is not None)):
            yield rule, names
