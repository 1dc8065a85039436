"""The double's alerts and their delivery: the cloud's own actions, on rows in memory."""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.paging import Asked
from hesper_cloud.services.alert_actions import Make, acknowledge
from hesper_cloud.services.alert_records import (
    AlertDetail,
    AlertFilter,
    AlertRates,
    Done,
    NoteRow,
    Selection,
    StepRow,
)
from hesper_cloud.services.delivery import RouteWish, TargetWish
from hesper_cloud.services.delivery_records import (
    DeliveryRow,
    NewTarget,
    RouteRow,
    TargetRow,
    Tested,
)
from hesper_cloud.services.errors import NotFound, Refused
from hesper_cloud.services.records import AlertRow

if TYPE_CHECKING:
    from console_double.services import DoubleServices

_OPEN = ("new", "acknowledged", "shelved")


class Alerts:
    """The fleet's alerts."""

    def __init__(self, everything: "DoubleServices") -> None:
        self._all = everything
        self.notes: dict[int, list[NoteRow]] = {}
        self.steps: dict[int, list[StepRow]] = {}

    async def list(
        self,
        actor: Actor,
        state: str | None,
        severity: str | None,
        limit: int,
        meter: str | None = None,
    ) -> Sequence[AlertRow]:
        wanted = AlertFilter(state=state or None, severity=severity or None, meter=meter)
        return self.found(actor, wanted)[:limit]

    async def page(
        self, actor: Actor, wanted: AlertFilter, asked: Asked
    ) -> tuple[Sequence[AlertRow], str | None]:
        return self.found(actor, wanted)[: asked.limit], None

    def found(self, actor: Actor, wanted: AlertFilter) -> Sequence[AlertRow]:
        rows = self._all.check(actor, Permission.READ).alerts
        if wanted.ids is not None:
            rows = [row for row in rows if row.id in wanted.ids]
        if wanted.parent is not None:
            rows = [row for row in rows if row.parent == wanted.parent]
        elif wanted.meter is None:
            rows = [row for row in rows if not row.suppressed]
        if wanted.state is not None:
            states = _OPEN if wanted.state == "open" else (wanted.state,)
            rows = [row for row in rows if row.state in states]
        for name in ("severity", "meter", "gateway", "assigned_to"):
            if (value := getattr(wanted, name)) is not None:
                rows = [row for row in rows if getattr(row, name) == value]
        return rows

    async def get(self, actor: Actor, alert: int) -> AlertDetail:
        rows = self._all.check(actor, Permission.READ).alerts
        row = next((row for row in rows if row.id == alert), None)
        if row is None:
            raise NotFound(f"There is no alert {alert}.")
        below = sum(each.parent == alert for each in rows)
        steps = [StepRow(row.raised_at, None, "raised", None), *self.steps.get(alert, [])]
        return AlertDetail(row, self.notes.get(alert, []), steps, below)

    async def rates(self, actor: Actor, windows: int) -> AlertRates:
        self._all.check(actor, Permission.READ)
        counts = [place % 7 for place in range(windows)]
        return AlertRates(datetime.now(UTC), counts, 100)

    async def people(self, actor: Actor) -> Sequence[str]:
        self._all.check(actor, Permission.ACKNOWLEDGE_ALERT)
        return sorted(self._all.users)

    async def acknowledge(self, actor: Actor, alert: int, note: str) -> AlertRow:
        return await self.act(actor, alert, acknowledge(note))

    async def act(self, actor: Actor, alert: int, make: Make) -> AlertRow:
        rows = self._all.check(actor, Permission.ACKNOWLEDGE_ALERT).alerts
        now = datetime.now(UTC)
        action = make(actor.username, now)
        index = next(i for i, row in enumerate(rows) if row.id == alert)
        if rows[index].state not in action.states:
            raise Refused(f"The alert is {rows[index].state}.")
        known = {each.name for each in fields(AlertRow)}
        values = {name: value for name, value in action.values.items() if name in known}
        if not isinstance(values.get("state", ""), str):  # the database decides: as it was before
            values["state"] = "acknowledged" if rows[index].acknowledged_at else "new"
        rows[index] = replace(rows[index], **values)
        if action.note:
            notes = self.notes.setdefault(alert, [])
            notes.append(NoteRow(len(notes) + 1, now, actor.username, action.note))
        step = StepRow(now, actor.username, action.step.value, action.after)
        self.steps.setdefault(alert, []).append(step)
        self._all.changes["alerts"] += 1
        return rows[index]


class Selections:
    """Alerts that are held."""

    def __init__(self, everything: "DoubleServices") -> None:
        self._all = everything
        self.held: dict[str, list[int]] = {}

    async def hold(self, actor: Actor, wanted: AlertFilter) -> Selection:
        self._all.check(actor, Permission.ACKNOWLEDGE_ALERT)
        rows = self._all.alerts.found(actor, wanted)
        name = secrets.token_hex(4)
        self.held[name] = [row.id for row in rows]
        end = datetime.now(UTC) + timedelta(minutes=15)
        severities, states = (Counter(getattr(r, n) for r in rows) for n in ("severity", "state"))
        return Selection(name, len(rows), dict(severities), dict(states), end)

    async def act(self, actor: Actor, selection: str, count: int, make: Make) -> Done:
        changed = 0
        for alert in self.held.pop(selection):
            try:
                await self._all.alerts.act(actor, alert, make)
            except Refused:
                continue
            changed += 1
        return Done(changed, count - changed)


class Delivery:
    """Targets, routes and messages in memory; what is tried always arrives."""

    def __init__(self, everything: "DoubleServices") -> None:
        self._all = everything
        self.kept: dict[int, TargetRow] = {}
        self.ways: dict[int, RouteRow] = {}
        self.log: list[DeliveryRow] = []

    async def targets(self, actor: Actor) -> Sequence[TargetRow]:
        self._all.check(actor, Permission.READ_AUDIT)
        return [*self.kept.values()]

    async def routes(self, actor: Actor) -> Sequence[RouteRow]:
        self._all.check(actor, Permission.READ_AUDIT)
        return [*self.ways.values()]

    async def messages(
        self, actor: Actor, state: str | None, asked: Asked
    ) -> tuple[Sequence[DeliveryRow], str | None]:
        self._all.check(actor, Permission.READ_AUDIT)
        rows = [row for row in self.log if state in (None, row.state)]
        return rows[: asked.limit], None

    async def put_target(
        self, actor: Actor, wish: TargetWish, target: int | None = None, version: int = 0
    ) -> NewTarget:
        self._all.check(actor, Permission.ADMINISTER)
        number = target or len(self.kept) + 1
        made = "a-secret-shown-once" if wish.config.kind == "webhook" and not target else None
        now = datetime.now(UTC)
        self.kept[number] = TargetRow(
            id=number,
            name=wish.name,
            kind=wish.config.kind,
            enabled=wish.enabled,
            config=wish.config.model_dump(mode="json"),
            has_secret=bool(made or wish.secret),
            version=version + 1,
            made_by=actor.username,
            changed_at=now,
            succeeded_at=None,
            failed_at=None,
            failures=0,
            problem=None,
            waiting=0,
        )
        return NewTarget(self.kept[number], made)

    async def put_route(
        self, actor: Actor, wish: RouteWish, route: int | None = None, version: int = 0
    ) -> RouteRow:
        self._all.check(actor, Permission.ADMINISTER)
        number = route or len(self.ways) + 1
        policy = wish.policy.model_dump(mode="json")
        self.ways[number] = RouteRow(
            number, wish.name, wish.target, wish.enabled, policy, version + 1, datetime.now(UTC)
        )
        return self.ways[number]

    async def remove_target(self, actor: Actor, target: int) -> None:
        self._all.check(actor, Permission.ADMINISTER)
        del self.kept[target]

    async def remove_route(self, actor: Actor, route: int) -> None:
        self._all.check(actor, Permission.ADMINISTER)
        del self.ways[route]

    async def test(self, actor: Actor, target: int) -> Tested:
        self._all.check(actor, Permission.ADMINISTER)
        now = datetime.now(UTC)
        row = self.kept[target]
        self.kept[target] = replace(row, succeeded_at=now)
        self.log.insert(
            0,
            DeliveryRow(
                len(self.log) + 1, secrets.token_hex(8), target, row.name, None, "test", "sent", 0,
                now, now, 1, now, None,
            ),
        )  # fmt: skip
        return Tested(True, "250")
