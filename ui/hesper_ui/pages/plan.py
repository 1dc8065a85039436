"""One schedule or template: its versions, whom it is for, and where it is in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui.desk import Desk
from hesper_ui.dialogs import plan_forms
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Cell, Columns, Text, block, box, button, moment, panel, table
from hesper_ui.pages.plans import assigned, differences, lines
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import Place
from hesper_ui.services import Actor, NotFound, Permission
from hesper_ui.services.planning import AssignmentRow, PlanKind, PlanRow, PlanState
from hesper_ui.views import plans
from hesper_ui.views.wording import MISSING, grouped
from hesper_ui.words import later, say

VERSIONS = Columns(
    ("Version", "What it says", "Why", "Made by", "When"), numbers=frozenset({0}), folding=True
)
_WORDS: dict[PlanKind, str] = {
    "schedule": later("Schedule, version {version}"),
    "template": later("Meter template, version {version}"),
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """One plan, and what is known of where it should be."""

    versions: Sequence[PlanRow]
    assignments: Sequence[AssignmentRow]
    states: Sequence[PlanState]


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one plan."""
    kind = plans.KINDS.get(args.path_parameters["kind"])
    if kind is None:
        raise NotFound(say("There is nothing here under this name."))
    name = args.path_parameters["name"]
    ui.page_title(f"{name} · Hesper")
    host = box("div", "contents")
    page = _Page(desk, actor, kind, host)

    async def load(asking: Actor) -> _Shown:
        service = desk.services.plans
        found = await service.states(asking, kind)
        return _Shown(
            await service.versions(asking, kind, name),
            [row for row in await service.assignments(asking, kind) if row.name == name],
            [row for row in found if name in (row.desired_name, *_named(kind, row))],
        )

    part = Part(desk, load, lambda shown: page.draw(shown, part.refresh))
    await part.show()
    watch("commands", part.refresh)
    look_every(15.0, part.refresh)


def _named(kind: PlanKind, row: PlanState) -> Sequence[str]:
    """Returns all templates that are desired behind a gateway; of schedules there is one."""
    return tuple(row.desired or ()) if kind == "template" else ()


@dataclass(frozen=True, slots=True)
class _Page:
    desk: Desk
    actor: Actor
    kind: PlanKind
    host: ui.element

    def draw(self, shown: _Shown, again: plan_forms.Done) -> None:
        newest = shown.versions[0]
        with box("div", "page-head"):
            with box("div", "titles"):
                Text(newest.name, "h1", tabindex="-1")
                Text(say(_WORDS[self.kind], version=newest.version), "p", "meta")
            with box("div", "actions"):
                self._actions(shown, again)
        with box("div", "stack"):
            differences(self.kind, shown.states)
            if shown.assignments:
                keeps = self.actor.may(Permission.EDIT_ASSETS)
                taking = partial(self._take_back, again) if keeps else None
                assigned(shown.assignments, taking)
            with panel("Versions", "newest first; a version is never changed"):
                table("Versions", VERSIONS, [self._version(row) for row in shown.versions])

    def _actions(self, shown: _Shown, again: plan_forms.Done) -> None:
        desk, host, versions = self.desk, self.host, shown.versions
        if self.actor.may(Permission.EDIT_ASSETS):
            change = partial(plan_forms.version, desk, self.kind, versions[0], host, again)
            button("New version…", change, acts=True)
            assign = attempted(partial(plan_forms.assign, desk, versions, host, again))
            button("Assign…", assign, acts=True)
        if self.kind == "schedule" and self.actor.may(Permission.REQUEST_COMMAND):
            due = [row.gateway for row in shown.states if row.state != "as desired"]
            send = partial(plan_forms.send, desk, versions[0].name, due, host, again)
            sending = button("Send to gateways…", send, "primary", acts=True)
            block(sending, not due)

    def _take_back(self, again: plan_forms.Done, row: AssignmentRow) -> None:
        plan_forms.take_back(self.desk, row, self.host, again)

    def _version(self, row: PlanRow) -> list[Cell]:
        def says() -> None:
            told = plans.told(row.kind, row.document)
            if row.kind == "schedule":
                lines(told)
                return
            with box("details", "long"):
                Text(told[0], "summary")
                Text(str(row.document.get("toml", "")), "pre", "code", tabindex="0")

        return [
            grouped(row.version),
            says,
            row.note or MISSING,
            row.made_by,
            lambda: moment(row.made_at, "date"),
        ]


PLACES = [Place("/plans/{kind}/{name}", "Schedule or template", build)]
