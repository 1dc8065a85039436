"""One rule: what it says, its versions, and what it would have told on history."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Cell, Columns, Text, box, button, link, marked, moment, panel, table
from hesper_ui.pages.rule_editor import Editor
from hesper_ui.pages.rule_trial import Trial
from hesper_ui.places import Place
from hesper_ui.services import Actor, Invalid, Permission, RuleRow, RuleState, RuleVersionRow
from hesper_ui.views.condition_words import threshold_name
from hesper_ui.views.looks import SEVERITIES
from hesper_ui.views.rule_form import STATES
from hesper_ui.views.rule_words import title_of, words_of
from hesper_ui.views.wording import MISSING
from hesper_ui.words import later, say

VERSIONS = Columns(("Version", "When", "Who", "Note", "Use"), numbers=frozenset({0}))
_VERBS: Mapping[RuleState, str] = {
    "on": later("Switch on…"),
    "trial": later("Put on trial…"),
    "off": later("Switch off…"),
}


async def build_new(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the form of a new rule, of an event if the address names one."""
    _head(say("New rule"), say("It is off until somebody switches it on."))
    if not actor.may(Permission.EDIT_RULES):
        words = say("Your role ({role}) may look, not write rules.", role=say(actor.role.value))
        states.notice("unknown", words)
        return
    trial = Trial(desk)
    Editor(desk, None, _from_event(args.query_parameters), trial).draw(may=True)
    trial.draw(may=True)


def _from_event(query: Mapping[str, str]) -> dict[str, Any] | None:
    code, level = query.get("code", "")[:128], query.get("severity", "warning")
    if not code:
        return None
    if level not in SEVERITIES:
        raise Invalid(say("There is no such filter."))
    condition = {"kind": "event", "codes": [code], "count": 1, "within_s": 3600}
    return {
        "title": code.replace(".", " ").replace("_", " ").capitalize(),
        "severity": level,
        "text": "{title} ({code})",
        "condition": condition | {"ends_after_s": 86_400},
    }


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds one rule's page."""
    name = args.path_parameters["rule"]
    row = await desk.services.rules.get(actor, name)
    versions = await desk.services.rules.versions(actor, name)
    may = actor.may(Permission.EDIT_RULES)
    host = box("div", "contents")
    with _head(title_of(row), words_of(row)):
        marked(*STATES[row.state])
        if may:
            _switches(desk, row, host)
    trial = Trial(desk)
    if not row.built_in or row.editable:
        stored = _chosen(row, versions, args.query_parameters.get("version", ""))
        Editor(desk, row, stored, trial).draw(may)
    elif row.set_in:
        _only_shown(row)
    if not row.built_in:
        trial.draw(may)
    if versions:
        with panel("Versions"):
            table("Versions", VERSIONS, [_version(row, each) for each in versions])


def _head(title: str, words: str) -> ui.element:
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(title, "h1", tabindex="-1")
            Text(words, "p", "meta")
        return box("div", "actions")


def _chosen(row: RuleRow, versions: Sequence[RuleVersionRow], wanted: str) -> dict[str, Any] | None:
    for each in versions:
        if str(each.version) == wanted:
            return each.definition
    return row.definition


def _switches(desk: Desk, row: RuleRow, host: ui.element) -> None:
    for state, words in _VERBS.items():
        allowed = row.can_be_off and not (row.built_in and state == "trial")
        if state != row.state and allowed:
            kind = "primary" if state == "on" else ""
            button(words, _ask(desk, row, state, host), kind, acts=True)
    if not row.built_in:
        button("Delete…", partial(_ask_to_delete, desk, row, host), "danger", acts=True)


def _ask(desk: Desk, row: RuleRow, state: RuleState, host: ui.element) -> Any:
    def ask() -> None:
        with sheet(host, _VERBS[state]) as page:
            words = "What it has raised is cleared, and it begins anew."
            Text(say(words), "p")
            note = entry("Why", lambda: None)

            async def send() -> None:
                actor = await desk.actor()
                said = str(note.value or "")
                now = await desk.services.rules.set_state(actor, row.id, state, said, row.version)
                asked = urlencode({"version": now.version, "state": now.state})
                ui.navigate.to(f"/rules/{row.id}?{asked}")  # another address: built anew

            page.buttons("Not now", "Switch", "primary", send)

    return ask


def _ask_to_delete(desk: Desk, row: RuleRow, host: ui.element) -> None:
    with sheet(host, say("Delete the rule {name}?", name=title_of(row))) as page:
        words = "It tells nothing any more, and what it has raised is cleared."
        Text(say(words), "p")
        note = entry("Why", lambda: None).mark("rule-why")

        async def send() -> None:
            actor, said = await desk.actor(), str(note.value or "").strip()
            await desk.services.rules.delete(actor, row.id, said, row.version)
            ui.navigate.to("/rules")

        page.buttons("Keep the rule", "Delete", "danger", send)


def _only_shown(row: RuleRow) -> None:
    with panel("Thresholds", say("set in {place}", place=row.set_in)), box("dl", "facts"):
        for each in row.thresholds:
            Text(threshold_name(each.name), "dt")
            Text(f"{each.value} {each.unit}".strip(), "dd")


def _version(row: RuleRow, each: RuleVersionRow) -> list[Cell]:
    def use() -> None:
        if each.version != row.version:
            target = f"/rules/{row.id}?{urlencode({'version': each.version})}"
            link(say("Show in the form"), target)
        else:
            Text(say("in force"), classes="meta")

    return [
        str(each.version),
        lambda: moment(each.made_at, "date"),
        each.made_by,
        each.note or MISSING,
        use,
    ]


PLACES = [
    Place("/rules/new", "New rule", build_new, needs=Permission.EDIT_RULES),
    Place("/rules/{rule}", "Rule", build),
]
