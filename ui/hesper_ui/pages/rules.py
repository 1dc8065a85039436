"""Rules: what turns readings, events and silence into alerts; those of people and the built-in."""

from collections.abc import Sequence

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, grouped_table, link, marked, panel
from hesper_ui.part import Part, look_every
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, Permission, RuleRow
from hesper_ui.views.condition_words import condition_words
from hesper_ui.views.looks import severity
from hesper_ui.views.rule_form import KINDS, STATES
from hesper_ui.views.rule_words import title_of
from hesper_ui.views.wording import MISSING, grouped, plural
from hesper_ui.words import later, say

COLUMNS = Columns(
    ("Rule", "State", "Severity", "What", "Condition", "Open alerts", "On trial", "Changed"),
    numbers=frozenset({5, 6}),
    wide_only=frozenset({4, 6, 7}),
)
OURS, BUILT_IN = later("Written here"), later("Built in")


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the list of all rules."""
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Rules"), "h1", tabindex="-1")
            words = say(
                "What turns readings, events and silence into alerts. Try a rule on history before "
                "you switch it on."
            )
            Text(words, "p", "meta")
        if actor.may(Permission.EDIT_RULES):
            with box("div", "actions"):
                Text(say("New rule…"), "a", "btn primary", href="/rules/new")

    async def load(asking: Actor) -> Sequence[RuleRow]:
        return await desk.services.rules.list(asking)

    part = Part(desk, load, _draw)
    await part.show()
    look_every(15.0, part.refresh)


def _draw(rows: Sequence[RuleRow]) -> None:
    ours = [row for row in rows if not row.built_in]
    groups = [
        (say(name), plural(len(group), "rule"), [_cells(row) for row in group])
        for name, group in ((OURS, ours), (BUILT_IN, [row for row in rows if row.built_in]))
        if group
    ]
    with panel("Rules"):
        if not ours:
            Text(
                say("No rule of your own yet. Begin with one, or with an event."), "p", "meta lead"
            )
        grouped_table("Rules", COLUMNS, groups)


def _cells(row: RuleRow) -> list[Cell]:
    def name() -> None:
        link(title_of(row), f"/rules/{row.id}")

    return [
        name,
        lambda: marked(*STATES[row.state]),
        lambda: marked(*severity(row.severity)),
        say(KINDS.get(row.kind, row.kind)),
        condition_words(row) or MISSING,
        grouped(row.open_alerts),
        grouped(row.trial_alerts) if row.state == "trial" else MISSING,
        lambda: ago(row.updated_at),
    ]


PLACES = [Place("/rules", "Rules", build, drawings.RULES, group=WATCH, rank=70, key="r")]
