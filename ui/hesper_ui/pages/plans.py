"""Schedules and templates: what is desired at each gateway against what it reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import plan_forms
from hesper_ui.elements import Cell, Columns, Text, ago, box, button, link, marked, panel, table
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import KEEP, Place
from hesper_ui.services import Actor, Permission
from hesper_ui.services.planning import AssignmentRow, PlanKind, PlanRow, PlanState
from hesper_ui.views import plans
from hesper_ui.views.wording import MISSING, grouped, plural
from hesper_ui.words import later, say

PLANS = Columns(
    ("Name", "Version", "What it says", "Why", "Made by", "When"),
    numbers=frozenset({1}),
    wide_only=frozenset({3}),
)
ASSIGNED = Columns(("Plan", "For whom", "By", "Since", ""))
STATES = Columns(("Gateway", "State", "Plan", "Desired", "Reported", "Confirmed"))
_ABOUT: dict[PlanKind, str] = {
    "schedule": later(
        "How often gateways read. The newest assignment that finds a gateway counts there."
    ),
    "template": later(
        "How meters of a model are read. Kept here by version; gateways get them with their files."
    ),
}
_NONE: dict[PlanKind, tuple[str, str]] = {
    "schedule": (
        later("No schedule yet"),
        later("Gateways read by their own gateway.toml. Make a schedule, then assign it."),
    ),
    "template": (
        later("No template yet"),
        later("Gateways bring templates of their own; keep here what you have changed."),
    ),
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """What one tab shows."""

    newest: Sequence[PlanRow]
    assignments: Sequence[AssignmentRow]
    states: Sequence[PlanState]


async def schedules(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the schedules."""
    await _build(desk, actor, "schedule")


async def templates(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the templates."""
    await _build(desk, actor, "template")


async def _build(desk: Desk, actor: Actor, kind: PlanKind) -> None:
    host = box("div", "contents")
    keeps = actor.may(Permission.EDIT_ASSETS)
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Schedules & templates"), "h1", tabindex="-1")
            Text(say(_ABOUT[kind]), "p", "meta")
        if keeps:
            title = plan_forms.NEW[kind]
            with box("div", "actions"):
                button(title, partial(plan_forms.version, desk, kind, None, host), "primary")
    _tabs(kind)

    async def load(asking: Actor) -> _Shown:
        service = desk.services.plans
        return _Shown(
            await service.newest(asking, kind),
            await service.assignments(asking, kind),
            await service.states(asking, kind),
        )

    def draw(shown: _Shown) -> None:
        with box("div", "stack"):
            differences(kind, shown.states)
            _newest(kind, shown.newest)
            if shown.assignments:
                taking = partial(take_back, desk, host, part) if keeps else None
                assigned(shown.assignments, taking)

    part = Part(desk, load, draw)
    await part.show()
    watch("commands", part.refresh)
    look_every(15.0, part.refresh)


def _tabs(kind: PlanKind) -> None:
    with box("nav", "chips", aria_label=say("Lists")):
        for other, title in plans.TITLES.items():
            here = "true" if other == kind else None
            Text(say(title), "a", "chip", href=plans.PATHS[other], aria_current=here)


def differences(kind: PlanKind, rows: Sequence[PlanState]) -> None:
    """Draws what is desired at each gateway, beside what it reported; what differs first."""
    wanted = [row for row in rows if row.desired is not None]
    same = sum(row.state in ("as desired", "names agree") for row in wanted)
    note = say("{part} of {whole} as desired", part=grouped(same), whole=grouped(len(wanted)))
    with panel("Desired against reported", note if wanted else ""):
        if not wanted:
            states.empty(
                "Nothing is desired yet",
                "Assign a plan: from then on each gateway shows whether it follows it.",
            )
            return
        table(
            "Desired against reported",
            STATES,
            [_state(kind, row) for row in sorted(wanted, key=plans.order)],
        )


def _state(kind: PlanKind, row: PlanState) -> list[Cell]:
    compared = plans.compared(kind, row)
    name, version = row.desired_name, row.desired_version

    def plan() -> None:
        if name is not None:
            link(f"{name} {version}", plans.address(kind, name))

    def reported() -> None:
        if row.reported is None:
            Text(say("its file was never sent from here"), classes="meta")
            return
        with box("div", "lines"):
            for what, wanted, found in compared:
                Text(f"{what} {found}", "strong" if found != wanted else "div")

    return [
        lambda: link(row.gateway, f"/gateways/{row.gateway}"),
        lambda: marked(*plans.state(row)),
        plan,
        partial(lines, [f"{what} {wanted}" for what, wanted, _ in compared]),
        reported,
        lambda: ago(row.reported_at),
    ]


def _newest(kind: PlanKind, rows: Sequence[PlanRow]) -> None:
    with panel(plans.TITLES[kind], plural(len(rows), "entry", "entries")):
        if not rows:
            states.empty(*_NONE[kind])
            return
        table(plans.TITLES[kind], PLANS, [_plan(row) for row in rows])


def lines(texts: Sequence[str]) -> None:
    """Draws some texts one below the other, in one cell."""
    with box("div", "lines"):
        for text in texts:
            Text(text, "div")


def _plan(row: PlanRow) -> list[Cell]:
    return [
        lambda: link(row.name, plans.address(row.kind, row.name)),
        grouped(row.version),
        partial(lines, plans.told(row.kind, row.document)),
        row.note or MISSING,
        row.made_by,
        lambda: ago(row.made_at),
    ]


def assigned(rows: Sequence[AssignmentRow], taking: plan_forms.Taking | None) -> None:
    """Draws the assignments that hold, newest first."""
    with panel("Assigned", "newest first; the newest that finds somebody counts"):
        table("Assigned", ASSIGNED, [_assignment(row, taking) for row in rows])


def _assignment(row: AssignmentRow, taking: plan_forms.Taking | None) -> list[Cell]:
    def tools() -> None:
        if taking is not None:
            label = say("Take back the assignment of {name}", name=row.name)
            button("Take back…", partial(taking, row), "small", acts=True, aria_label=label)

    return [
        lambda: link(f"{row.name} {row.version}", plans.address(row.kind, row.name)),
        plans.whom(row.query),
        row.made_by,
        lambda: ago(row.made_at),
        tools,
    ]


def take_back(desk: Desk, host: ui.element, part: Part[_Shown], row: AssignmentRow) -> None:
    """Asks whether an assignment ends."""
    plan_forms.take_back(desk, row, host, part.refresh)


PLACES = [
    Place("/plans", "Schedules", schedules, drawings.PLANS, group=KEEP, rank=30, key="v"),
    Place("/plans/templates", "Meter templates", templates),
]
