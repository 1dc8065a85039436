"""Many alerts of one rule on one part of the grid become one alert that tells its extent.

A feeder of 2000 meters that is lost is one thing that happened. When enough meters of a part are
concerned by the same rule (`extents`), an alert ``storm/<rule>`` is raised for the part, and theirs
are hidden below it. Later ones join, the extent is told anew, and the storm clears when less than
half of what made it one still holds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.alert_settings import AlertSettings
from hesper_cloud.alerting import grid
from hesper_cloud.alerting.changes import Step, is_open, note
from hesper_cloud.alerting.children import STORM, hide, is_shown
from hesper_cloud.alerting.extents import Enough, Lost, lost, still
from hesper_cloud.alerting.grid import GATEWAY, Grid, Part
from hesper_cloud.alerting.priority import priority
from hesper_cloud.db.alerting import CLEARED, NEW, Alert

_ORDER = ("info", "warning", "critical")
_GREW = 2  # times as many are worth a line in the history


class _Member(NamedTuple):
    """One alert that a storm may be made of."""

    id: int
    meter: str
    severity: str
    raised_at: datetime
    symptom: bool
    area: str | None
    parent: int | None


@dataclass(frozen=True, slots=True)
class _Told:
    """One rule as it stands: its alerts by meter, where these are, its storms by their cause."""

    rule: str
    members: Mapping[str, _Member]
    grid: Grid
    storms: Mapping[str, Alert]


class Storms:
    """Gathers what is one event; asked again whenever alerts changed."""

    def __init__(self, settings: AlertSettings) -> None:
        self._enough = Enough(settings.storm_meters, settings.storm_share_percent)
        self._critical = settings.storm_critical_meters

    def turn(self, session: Session, now: datetime) -> None:
        """Brings the storms of every rule up to date."""
        open_storms = select(Alert).where(is_open(), Alert.rule.startswith(STORM))
        storms: dict[str, dict[str, Alert]] = defaultdict(dict)
        for each in session.scalars(open_storms):
            storms[each.rule.removeprefix(STORM)][each.group_key or ""] = each
        many = select(Alert.rule).where(is_shown(), Alert.meter.is_not(None)).group_by(Alert.rule)
        many = many.having(func.count() >= self._enough.meters)
        for rule in sorted({*storms, *session.scalars(many)}):
            members = _members(session, rule, [each.id for each in storms[rule].values()])
            places = grid.load(session, members, now)
            self._settle(session, _Told(rule, members, places, storms[rule]), now)

    def _settle(self, session: Session, told: _Told, now: datetime) -> None:
        found = {_key(each.part, told.rule): each for each in self._lost(told)}
        for key, each in found.items():
            storm = told.storms.get(key)
            if storm is None:
                storm = self._begin(session, told, each, now)
            self._tell(session, storm, (told, each), now)
            joining = [
                told.members[meter].id
                for meter in each.meters
                if told.members[meter].parent != storm.id
            ]
            if joining:
                hide(session, joining, storm, now)
        for key, storm in told.storms.items():
            if key not in found:
                storm.state, storm.cleared_at, storm.changed_at = CLEARED, now, now
                note(session, [storm.id], Step.CLEARED, now)

    def _lost(self, told: _Told) -> list[Lost]:
        """Returns the parts that are lost now: what still is as it was, what grew, what is new."""
        kept = [each for storm in told.storms.values() if (each := self._still(told, storm))]
        wider = [
            each
            for each in lost(told.grid, told.members.keys(), self._enough)
            if any(each.meters > before.meters for before in kept)
        ]
        found = wider + [
            each for each in kept if not any(each.meters < other.meters for other in wider)
        ]
        left = told.members.keys() - set().union(*(each.meters for each in found))
        known = {each.part for each in found}
        return found + [
            each for each in lost(told.grid, left, self._enough) if each.part not in known
        ]

    def _still(self, told: _Told, storm: Alert) -> Lost | None:
        """Returns a storm as it is now, with what joined it."""
        part = _part(storm)
        own = {
            meter
            for meter, each in told.members.items()
            if each.parent == storm.id or told.grid.hangs_on(meter, part)
        }
        return still(told.grid, part, own, self._enough.half)

    def _begin(self, session: Session, told: _Told, lost: Lost, now: datetime) -> Alert:
        members = [told.members[meter] for meter in lost.meters]
        areas = {each.area for each in members}
        part = lost.part
        storm = Alert(
            rule=STORM + told.rule,
            element=part.id if part.element else None,
            gateway=part.id if part.kind == GATEWAY and not part.element else None,
            area=areas.pop() if len(areas) == 1 else None,
            severity="warning",
            state=NEW,
            raised_at=min(each.raised_at for each in members),
            text="",
            symptom=all(each.symptom for each in members),
            group_key=_key(part, told.rule),
            affected_count=0,
            last_seen_at=now,
            changed_at=now,
        )
        session.add(storm)
        session.flush()
        note(session, [storm.id], Step.RAISED, now)
        return storm

    def _tell(
        self, session: Session, storm: Alert, extent: tuple[_Told, Lost], now: datetime
    ) -> None:
        """Writes what the storm is made of now, if that changed."""
        told, lost = extent
        count = len(lost.meters)
        if count == storm.affected_count:
            return
        members = [told.members[meter] for meter in lost.meters]
        worst = max((each.severity for each in members), key=_ORDER.index)
        severity = "critical" if count >= self._critical else worst
        if storm.affected_count and count >= _GREW * storm.affected_count:
            note(session, [storm.id], Step.GREW, now, detail=f"{count} meters")
        storm.affected_count, storm.severity = count, severity
        storm.text, storm.extent = _text(told.rule, lost), _extent(lost, members)
        storm.last_seen_at = storm.changed_at = now
        age = (now - storm.raised_at).total_seconds()
        storm.priority = priority(severity, age, count)
        session.flush()


def _members(session: Session, rule: str, storms: Sequence[int]) -> dict[str, _Member]:
    query = select(
        Alert.id,
        Alert.meter,
        Alert.severity,
        Alert.raised_at,
        Alert.symptom,
        Alert.area,
        Alert.parent_id,
    ).where(Alert.rule == rule, Alert.meter.is_not(None), is_open())
    own = Alert.suppressed.is_(False) | Alert.parent_id.in_(storms)
    rows = session.execute(query.where(own))
    return {str(row[1]): _Member(row[0], str(row[1]), *row[2:]) for row in rows}


def _key(part: Part, rule: str) -> str:
    return f"{part.key}/{rule}"[:160]


def _part(storm: Alert) -> Part:
    told = storm.extent or {}
    kind, name = str(told.get("kind", "")), str(told.get("name", ""))
    return Part(kind, str(told.get("id", "")), name, storm.element is not None)


def _text(rule: str, lost: Lost) -> str:
    part, count = lost.part, len(lost.meters)
    named = part.name if part.name == part.id else f"{part.name} ({part.id})"
    what = rule.replace("-", " ").replace("_", " ")
    return f"{part.kind.capitalize()} {named}: {count} of {lost.of} meters, {what}."


def _extent(lost: Lost, members: Sequence[_Member]) -> dict[str, object]:
    part = lost.part
    return {
        "kind": part.kind,
        "id": part.id,
        "name": part.name,
        "meters": len(lost.meters),
        "of": lost.of,
        "first_at": min(each.raised_at for each in members).isoformat(),
        "last_at": max(each.raised_at for each in members).isoformat(),
        "parts": [{"name": name, "meters": count} for name, count in lost.below],
    }
