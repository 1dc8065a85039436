"""The double's events, rules and outages."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.events import catalogue
from hesper_cloud.paging import Asked
from hesper_cloud.rules import built_in
from hesper_cloud.rules.definition import Definition, State
from hesper_cloud.services.errors import Invalid, NotFound, Stale
from hesper_cloud.services.records import EventRow
from hesper_cloud.services.rule_records import (
    CatalogueRow,
    EventFilter,
    FiringRow,
    OutageDetail,
    OutageMeter,
    OutageRow,
    RuleRow,
    RuleVersionRow,
    ThresholdRow,
    TryReport,
)
from hesper_cloud.settings import RuleSettings
from pydantic import ValidationError

if TYPE_CHECKING:
    from console_double.services import DoubleServices


_CODES = {
    "1": "power.down",
    "2": "power.up",
    "4": "clock.adjusted_old",
    "40": "tamper.terminal_cover_opened",
    "77": "voltage.sag_l2",
}


class Events:
    """The fleet's events, by filters."""

    def __init__(self, everything: "DoubleServices") -> None:
        self._all = everything
        self.more: list[EventRow] = []

    async def page(
        self, actor: Actor, wanted: EventFilter, asked: Asked
    ) -> tuple[Sequence[EventRow], str | None]:
        fleet = self._all.check(actor, Permission.READ)
        rows = [row for each in list(fleet.meters)[:8] for row in fleet.events(each)]
        rows = [replace(row, code=_CODES.get(row.code, row.code)) for row in (*rows, *self.more)]
        rows = [replace(row, group=catalogue.group_of(row.code)) for row in rows]
        rows.sort(key=lambda row: row.occurred_at, reverse=True)
        asked_for = {n: getattr(wanted, n) for n in ("group", "code", "severity", "meter")}
        found = [
            row for row in rows if all(v in (None, getattr(row, n)) for n, v in asked_for.items())
        ]
        start = int(asked.cursor or 0)
        end = start + asked.limit
        return found[start:end], str(end) if end < len(found) else None

    async def catalogue(self, actor: Actor) -> Sequence[CatalogueRow]:
        self._all.check(actor, Permission.READ)
        return []


class Rules:
    """Rules in memory, beside the real ones that are code."""

    def __init__(self, everything: "DoubleServices") -> None:
        self._all = everything
        self.rows: dict[str, RuleRow] = {each.id: each for each in map(_of_code, _code())}
        self.kept: list[RuleVersionRow] = []
        self.definitions: list[Definition] = []
        self.job: int | None = None  # that a trial becomes, until it has ended

    async def list(self, actor: Actor) -> Sequence[RuleRow]:
        self._all.check(actor, Permission.READ)
        return sorted(self.rows.values(), key=lambda row: row.built_in)

    async def get(self, actor: Actor, rule: str) -> RuleRow:
        self._all.check(actor, Permission.READ)
        if rule not in self.rows:
            raise NotFound("There is no such rule.")
        return self.rows[rule]

    async def versions(self, actor: Actor, rule: str) -> Sequence[RuleVersionRow]:
        self._all.check(actor, Permission.READ)
        return [each for each in reversed(self.kept) if each.rule == rule]

    def understood(self, said: Mapping[str, Any]) -> Definition:
        try:
            return Definition.model_validate(said)
        except ValidationError as error:
            first = error.errors()[0]
            raise Invalid(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    async def save(
        self, actor: Actor, rule: str, said: Definition, note: str, version: int | None
    ) -> RuleRow:
        fleet = self._all.check(actor, Permission.EDIT_RULES)
        before = self.rows.get(rule)
        present = 0 if before is None else before.version
        if version is not None and version != present:
            raise Stale("This rule was edited meanwhile.")
        document = said.model_dump(mode="json")
        self.kept.append(
            RuleVersionRow(rule, present + 1, document, fleet.now, actor.username, note)
        )
        self.rows[rule] = RuleRow(
            id=rule,
            title=said.title,
            kind=said.condition.kind,
            state="off" if before is None else before.state,
            version=present + 1,
            severity=said.severity,
            text=said.text,
            built_in=before is not None and before.built_in,
            editable=True,
            can_be_off=True,
            set_in="",
            thresholds=[] if before is None else before.thresholds,
            definition=document,
            updated_at=fleet.now,
            updated_by=actor.username,
            open_alerts=0,
            trial_alerts=0,
        )
        return self.rows[rule]

    async def set_state(
        self, actor: Actor, rule: str, state: State, note: str, version: int | None
    ) -> RuleRow:
        self._all.check(actor, Permission.EDIT_RULES)
        if version is not None and version != self.rows[rule].version:
            raise Stale("This rule was edited meanwhile.")
        self.rows[rule] = replace(self.rows[rule], state=state)
        return self.rows[rule]

    async def delete(self, actor: Actor, rule: str, note: str, version: int | None) -> None:
        self._all.check(actor, Permission.EDIT_RULES)
        if version is not None and version != self.rows[rule].version:
            raise Stale("This rule was edited meanwhile.")
        del self.rows[rule]

    async def try_(
        self, actor: Actor, said: Definition, start: datetime, end: datetime
    ) -> TryReport:
        self._all.check(actor, Permission.EDIT_RULES)
        self.definitions.append(said)
        firings = [
            FiringRow("HES1", start + timedelta(hours=3 * n), None, "254.1 V") for n in range(2)
        ]
        buckets = [0] * 58 + [1, 1]
        self.report = TryReport(start, end, 60, 40_320, 2, 1, 1, buckets, firings)
        return self.report if self.job is None else replace(self.report, job=self.job, alerts=0)

    async def tried(self, actor: Actor, job: int) -> TryReport:
        self._all.check(actor, Permission.EDIT_RULES)
        return self.report if job != self.job else replace(self.report, job=job, alerts=0)


class Outages:
    """One feeder that lost power; meters of another town can be added to it."""

    def __init__(self, everything: "DoubleServices") -> None:
        self._all = everything
        self.more = 0

    def _row(self, now: datetime) -> OutageRow:
        began = now - timedelta(minutes=12)
        return OutageRow(
            7, "feeder", "f1", "Mill road", "North", "open", began, began, None, None, 3, 1, 4
        )

    async def page(
        self, actor: Actor, state: str | None, area: str | None, asked: Asked
    ) -> tuple[Sequence[OutageRow], str | None]:
        row = self._row(self._all.check(actor, Permission.READ).now)
        return ([row] if state in (None, "open") else []), None

    async def get(self, actor: Actor, outage: int, most: int) -> OutageDetail:
        fleet = self._all.check(actor, Permission.READ)
        if outage != 7:
            raise NotFound("There is no such outage.")
        row = self._row(fleet.now)
        meters = [OutageMeter(m, row.began_at, None, None) for m in list(fleet.meters)[:2]]
        back = OutageMeter(list(fleet.meters)[2], row.began_at, fleet.now, "event")
        meters += [OutageMeter(f"TOWN{n:06}", row.began_at, None, None) for n in range(self.more)]
        return OutageDetail(row, [*meters, back][:most], len(meters) + 1)


def _code() -> Sequence[built_in.BuiltInRule]:
    return list(built_in.rules(RuleSettings()).values())


def _of_code(code: built_in.BuiltInRule) -> RuleRow:
    return RuleRow(
        id=code.id,
        title=code.title,
        kind="built-in",
        state="on",
        version=0,
        severity=code.severity,
        text=code.text,
        built_in=True,
        editable=code.is_editable,
        can_be_off=code.can_be_off,
        set_in=code.set_in,
        thresholds=[ThresholdRow(t.name, t.unit, t.default, t.default) for t in code.thresholds],
        definition=None,
        updated_at=None,
        updated_by=None,
        open_alerts=0,
        trial_alerts=0,
    )
