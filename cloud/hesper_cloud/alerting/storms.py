"""Many alerts of one rule on one part of the grid become one alert that tells its extent.

A feeder of 2000 meters that is lost is one thing that happened. When enough meters of a part are
concerned by the same rule (`extents`), an alert ``storm/<rule>`` is raised for the part, and theirs
are hidden below it. Later ones join, the extent is told anew, and the storm clears when less than
half of what made it one still holds.

Gateways are gathered likewise, by their areas and as a fleet: a broker that is down, or the way to
it, is one alert and not five hundred. Their customers are those of all the gateways.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.alert_settings import AlertSettings
from hesper_cloud.alerting import crowds, grid
from hesper_cloud.alerting.changes import Step, is_open, note
from hesper_cloud.alerting.children import STORM, hide
from hesper_cloud.alerting.crowds import GATEWAYS, METERS, Kind, Member
from hesper_cloud.alerting.extents import Enough, Lost, lost, still
from hesper_cloud.alerting.grid import FLEET, GATEWAY, Grid, Part
from hesper_cloud.alerting.priority import is_worse, priority
from hesper_cloud.db.alerting import CLEARED, NEW, Alert
from hesper_cloud.worded import later, worded, wording

_ORDER = ("info", "warning", "critical")
_LOOK_AGAIN = timedelta(minutes=5)  # meters may have been hung elsewhere
_GREW = 2  # times as many are worth a line in the history


@dataclass(frozen=True, slots=True)
class _Told:
    """One rule as it stands: its alerts by meter, where these are, its storms by their cause.

    What is said here of meters holds of gateways, where the kind is theirs.
    """

    kind: Kind
    rule: str
    members: Mapping[str, Member]
    grid: Grid
    storms: Mapping[str, Alert]


class Storms:
    """Gathers what is one event; asked again whenever alerts changed."""

    def __init__(self, settings: AlertSettings) -> None:
        self._enough = Enough(settings.storm_meters, settings.storm_share_percent)
        self._critical = settings.storm_critical_meters
        self._seen: dict[tuple[str, str], crowds.Mark] = {}
        self._looked_at = datetime.min.replace(tzinfo=UTC)

    def turn(self, session: Session, now: datetime) -> None:
        """Brings the storms of every rule up to date, where anything changed for it."""
        storms: dict[tuple[str, str], dict[str, Alert]] = defaultdict(dict)
        for each in session.scalars(select(Alert).where(is_open(), Alert.rule.startswith(STORM))):
            word = (each.extent or {}).get("made_of", METERS.word)
            storms[word, each.rule.removeprefix(STORM)][each.group_key or ""] = each
        if not abs(now - self._looked_at) < _LOOK_AGAIN:
            self._seen, self._looked_at = {}, now
        for kind in (METERS, GATEWAYS):
            found = crowds.marks(session, kind)
            known = {rule for word, rule in storms if word == kind.word}
            many = {rule for rule, mark in found.items() if mark.shown >= self._enough.meters}
            changed = [
                rule
                for rule in sorted(known | many)
                if found.get(rule) is None or found[rule] != self._seen.get((kind.word, rule))
            ]
            for rule in changed:
                self._look(session, kind, (rule, storms[kind.word, rule]), now)
            after = crowds.marks(session, kind) if changed else found
            self._seen |= {(kind.word, rule): mark for rule, mark in after.items()}

    def _look(
        self, session: Session, kind: Kind, told: tuple[str, Mapping[str, Alert]], now: datetime
    ) -> None:
        """Brings the storms of one rule up to date."""
        rule, storms = told
        members = crowds.members(session, kind, rule, [each.id for each in storms.values()])
        places = grid.load(session, members, now) if kind is METERS else grid.of_gateways(session)
        self._settle(session, _Told(kind, rule, members, places, storms), now)

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
        members = [told.members[meter] for meter in lost.meters]
        count = sum(each.customers for each in members)
        worst = max((each.severity for each in members), key=_ORDER.index)
        severity = "critical" if count >= self._critical else worst
        if storm.extent and (count, len(members), severity) == (
            storm.affected_count,
            storm.extent.get(told.kind.word),
            storm.severity,
        ):
            return
        if storm.affected_count and count >= _GREW * storm.affected_count:
            note(session, [storm.id], Step.GREW, now, detail=f"{len(members)} {told.kind.word}")
        if storm.extent and is_worse(severity, storm.severity):
            note(session, [storm.id], Step.WORSENED, now, detail=severity)
        storm.affected_count, storm.severity = count, severity
        text = _text(told, lost, count)
        storm.text, storm.said, storm.extent = str(text), wording(text), _extent(told, lost)
        storm.last_seen_at = storm.changed_at = now
        age = (now - storm.raised_at).total_seconds()
        storm.priority = priority(severity, age, count)
        session.flush()


def _key(part: Part, rule: str) -> str:
    return f"{part.key}/{rule}"[:160]


def _part(storm: Alert) -> Part:
    told = storm.extent or {}
    kind, name = str(told.get("kind", "")), str(told.get("name", ""))
    return Part(kind, str(told.get("id", "")), name, storm.element is not None)


_FLEET = later("All areas")
_TEXTS = {  # by whether it is the whole fleet, and whether it is made of gateways
    (False, False): later("{kind} {name}: {count} of {total} {members}, {what}."),
    (False, True): later(
        "{kind} {name}: {count} of {total} {members}, {what}, {customers} meters behind them."
    ),
    (True, False): later("{name}: {count} of {total} {members}, {what}."),
    (True, True): later(
        "{name}: {count} of {total} {members}, {what}, {customers} meters behind them."
    ),
}


def _text(told: _Told, lost: Lost, customers: int) -> str:
    part, count, word = lost.part, len(lost.meters), told.kind.word
    named = part.name if part.name == part.id else f"{part.name} ({part.id})"
    what = told.rule.replace("-", " ").replace("_", " ")
    return worded(
        _TEXTS[part == FLEET, told.kind is GATEWAYS],
        kind=part.kind.capitalize(),
        name=named if part != FLEET else worded(_FLEET),
        count=count,
        total=lost.of,
        members=word,
        what=what,
        customers=customers,
    )


def _extent(told: _Told, lost: Lost) -> dict[str, object]:
    part, word = lost.part, told.kind.word
    moments = [told.members[each].raised_at for each in lost.meters]
    return {
        "made_of": word,
        "kind": part.kind,
        "id": part.id,
        "name": part.name,
        word: len(lost.meters),
        "of": lost.of,
        "first_at": min(moments).isoformat(),
        "last_at": max(moments).isoformat(),
        "parts": [{"name": name, word: count} for name, count in lost.below],
    }
