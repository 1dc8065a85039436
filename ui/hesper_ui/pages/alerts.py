"""Alerts: what is wrong, since when, and who has seen it."""

from collections.abc import Sequence
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import decide
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    ago,
    box,
    button,
    grouped_table,
    link,
    marked,
    panel,
)
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, AlertRow, Invalid, Permission
from hesper_ui.views import attention_words
from hesper_ui.views.looks import severity
from hesper_ui.views.wording import capital, plural
from hesper_ui.words import later, say

STATES = {
    "": later("Open"),
    "new": later("New"),
    "acknowledged": later("Acknowledged"),
    "cleared": later("Cleared"),
}
SEVERITIES = {
    "": later("Any severity"),
    "critical": later("Critical"),
    "warning": later("Warning"),
    "info": later("Info"),
}
MOST = 300
COLUMNS = Columns(("Severity", "What", "Where", "Raised", "State", "Action"))


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list of alerts, filtered by the address."""
    state = args.query_parameters.get("state", "")
    level = args.query_parameters.get("severity", "")
    if state not in STATES or level not in SEVERITIES:
        raise Invalid("There is no such filter.")
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Alerts"), "h1", tabindex="-1")
    with box("nav", "chips", aria_label=say("Filters")):
        for name, words in STATES.items():
            _chip(words, {"state": name, "severity": level}, name == state)
        box("span", "divider", aria_hidden="true")
        for name, words in SEVERITIES.items():
            _chip(words, {"state": state, "severity": name}, name == level)
    host = box("div", "contents")

    async def load(asking: Actor) -> Sequence[AlertRow]:
        return await desk.services.alerts.list(asking, state or "open", level or None, MOST)

    def draw(rows: Sequence[AlertRow]) -> None:
        _draw(rows, desk, host, part, actor.may(Permission.ACKNOWLEDGE_ALERT))

    part = Part(desk, load, draw)
    await part.show()
    watch("alerts", part.refresh)
    look_every(15.0, part.refresh)


def _chip(words: str, asked: dict[str, str], here: bool) -> None:
    wanted = urlencode({name: value for name, value in asked.items() if value})
    target = f"/alerts?{wanted}" if wanted else "/alerts"
    Text(say(words), "a", "chip", href=target, aria_current="true" if here else None)


def _draw(
    rows: Sequence[AlertRow],
    desk: Desk,
    host: ui.element,
    part: Part[Sequence[AlertRow]],
    may: bool,
) -> None:
    if not rows:
        with box("section", "panel", aria_label=say("Alerts")):
            states.empty("No alert here", "Alerts clear by themselves once their cause is gone.")
        return
    causes: dict[str, list[AlertRow]] = {}
    for row in rows:
        causes.setdefault(row.rule, []).append(row)
    ordered = sorted(causes.items(), key=lambda cause: _worst(cause[1]))
    groups = [
        (
            attention_words.cause(rule),
            plural(len(group), "alert"),
            [_cells(row, desk, host, part, may) for row in group],
        )
        for rule, group in ordered
    ]
    with panel("By cause, worst first", plural(len(rows), "alert")) as tools:
        with tools:
            keys = say("keys: j and k move, a acknowledges, Enter opens")
            Text(keys, classes="meta wide-only")
        with box("div", data_keys=True):
            grouped_table("Alerts", COLUMNS, groups)


def _worst(group: Sequence[AlertRow]) -> tuple[int, float]:
    order = {"critical": 0, "warning": 1, "info": 2}
    oldest = min(row.raised_at.timestamp() for row in group)
    return min(order.get(row.severity, 3) for row in group), oldest


def _cells(
    row: AlertRow, desk: Desk, host: ui.element, part: Part[Sequence[AlertRow]], may: bool
) -> list[Cell]:
    def where() -> None:
        if row.meter:
            link(row.meter, f"/meters/{row.meter}")
        else:
            link(row.gateway or "–", "/gateways")

    def act() -> None:
        if row.state == "new" and may:
            button(
                "Acknowledge…",
                lambda: decide.acknowledge(desk, row.id, row.text, host, part.refresh),
                "small",
                acts=True,
                aria_label=say("Acknowledge: {text}", text=row.text),
            )

    return [
        lambda: marked(*severity(row.severity)),
        capital(row.text),
        where,
        lambda: ago(row.raised_at),
        _state_words(row),
        act,
    ]


def _state_words(row: AlertRow) -> str:
    if row.state == "acknowledged":
        note = f": {row.note}" if row.note else ""
        return say("acknowledged by {who}", who=row.acknowledged_by) + note
    return say(row.state)


PLACES = [
    Place(
        "/alerts",
        "Alerts",
        build,
        drawings.ALERTS,
        figure="critical_alerts",
        said="critical",
        group=WATCH,
        rank=50,
        key="a",
    )
]
