"""Alerts: grouped by root cause, the most urgent first; one by one or many at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import alert_actions, decide
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    ago,
    box,
    button,
    drawing,
    grouped_table,
    link,
    marked,
    panel,
)
from hesper_ui.pages import alert_place
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, AlertRow, Invalid, PageAsked, Permission
from hesper_ui.services.alerting import AlertFilter
from hesper_ui.views import alerts
from hesper_ui.views.alerts import SEVERITIES, STATES
from hesper_ui.views.looks import severity
from hesper_ui.views.wording import capital, plural, retold
from hesper_ui.words import say

MOST = 300
WINDOWS = 144
MINE = "mine"
COLUMNS = Columns(
    ("", "Severity", "What", "Where", "Customers", "Raised", "State", "Action"),
    numbers=frozenset({4}),
    wide_only=frozenset({4}),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows, and not when that was looked up: what stayed is not drawn again.

    ``per_10_min`` are new alerts, more than ``limit`` of them a flood; ``more`` where there are
    alerts beyond these.
    """

    rows: Sequence[AlertRow]
    per_10_min: Sequence[int]
    limit: int
    more: bool


@dataclass
class _List:
    """One person's list: what is asked for, which rows it shows, and which are ticked."""

    desk: Desk
    asked: dict[str, str]
    may: bool
    host: ui.element
    shown: set[int] = field(default_factory=set)
    ticked: set[int] = field(default_factory=set)
    part: "Part[Shown] | None" = None

    async def refresh(self) -> None:
        if self.part is not None:
            await self.part.refresh()

    def wanted(self, actor: Actor) -> AlertFilter:
        return AlertFilter(
            state=self.asked["state"] or "open",
            severity=self.asked["severity"] or None,
            assigned_to=actor.username if self.asked[MINE] else None,
        )

    def marked(self) -> tuple[int, ...]:
        """Returns the marked alerts that are still listed, none where none was marked.

        Raises:
            Invalid: some were marked, and none of them is listed any more.
        """
        before, self.ticked = self.ticked, self.ticked & self.shown
        if before and not self.ticked:
            raise Invalid(
                say("What was marked is not in the list any more; nothing is marked now.")
            )
        return tuple(sorted(self.ticked))

    async def acted(self) -> None:
        """Looks again after something was done to many; what left the list is marked no more."""
        await self.refresh()
        self.ticked &= self.shown


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list of alerts, filtered by the address."""
    asked = {name: args.query_parameters.get(name, "") for name in ("state", "severity", MINE)}
    if asked["state"] not in STATES or asked["severity"] not in SEVERITIES:
        raise Invalid(say("There is no such filter."))
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Alerts"), "h1", tabindex="-1")
        if actor.may(Permission.READ_AUDIT):
            with box("div", "actions"):
                link(say("Delivery"), "/alerts/delivery", "btn")
    _chips(asked)
    own = _List(desk, asked, actor.may(Permission.ACKNOWLEDGE_ALERT), box("div", "contents"))

    async def load(asking: Actor) -> Shown:
        service = desk.services.alerts
        rows, following = await service.page(asking, own.wanted(asking), PageAsked(MOST))
        rates = await service.rates(asking, WINDOWS)
        return Shown(rows, rates.per_10_min, rates.limit, following is not None)

    own.part = Part(desk, load, lambda shown: _draw(own, shown))
    await own.part.show()
    watch("alerts", own.refresh)
    look_every(15.0, own.refresh)


def _chips(asked: dict[str, str]) -> None:
    with box("nav", "chips", aria_label=say("Filters")):
        for name, words in STATES.items():
            _chip(say(words), asked | {"state": name}, name == asked["state"])
        box("span", "divider", aria_hidden="true")
        for name, words in SEVERITIES.items():
            _chip(say(words), asked | {"severity": name}, name == asked["severity"])
        box("span", "divider", aria_hidden="true")
        _chip(say("Mine"), asked | {MINE: "" if asked[MINE] else "1"}, bool(asked[MINE]))


def _chip(words: str, asked: dict[str, str], here: bool) -> None:
    wanted = urlencode({name: value for name, value in asked.items() if value})
    target = f"/alerts?{wanted}" if wanted else "/alerts"
    Text(words, "a", "chip", href=target, aria_current="true" if here else None)


def _draw(own: _List, shown: Shown) -> None:
    own.shown = {row.id for row in shown.rows}
    with box("div", "stack"):
        _rate(shown)
        _list(own, shown)


def _list(own: _List, shown: Shown) -> None:
    rows = shown.rows
    if not rows:
        with box("section", "panel", aria_label=say("Alerts")):
            states.empty("No alert here", "Alerts clear by themselves once their cause is gone.")
        return
    groups = [
        (group.name, plural(len(group.rows), "alert"), [_cells(own, row) for row in group.rows])
        for group in alerts.groups(rows)
    ]
    count = plural(len(rows), "alert")
    note = say("the first {count}; more match", count=count) if shown.more else count
    with panel("By cause, worst first", note) as tools:
        with tools:
            keys = say("keys: j and k move, x marks, a acknowledges, s shelves, Enter opens")
            Text(keys, classes="meta wide-only")
        if own.may:
            _together(own, len(rows))
        with box("div", data_keys=True):
            grouped_table("Alerts", COLUMNS, groups)


def _rate(shown: Shown) -> None:
    words = alerts.spark_words(shown.per_10_min)
    with panel("New alerts per 10 minutes", words), box("div", role="img", aria_label=words):
        drawing(alerts.spark(shown.per_10_min, shown.limit)).style("display: block")


def _together(own: _List, count: int) -> None:
    """Draws what can be done to the marked alerts, or to all that the filter finds."""
    with box("div", "actions", role="group", aria_label=say("Many at once")) as group:
        group.style("align-items: center; padding: 0 16px 12px")
        Text(say("Marked, else all that match:"), classes="meta")
        for action, words in alert_actions.TOGETHER.items():
            if _means_something(action, own.asked["state"]) and count:
                button(words, _acting(own, action), "small", acts=True, name=f"together-{action}")


def _means_something(action: str, state: str) -> bool:
    return {
        "acknowledge": state in ("", "new"),
        "shelve": state != "cleared",
        "assign": state != "cleared",
        "unshelve": state == "shelved",
    }.get(action, True)


def _acting(own: _List, action: str) -> Callable[[], Awaitable[None]]:
    async def act() -> None:
        wanted = own.wanted(await own.desk.actor())
        if marked := own.marked():
            wanted = replace(wanted, ids=marked)
        await alert_actions.together(own.desk, wanted, action, own.host, own.acted)

    return attempted(act)


def _cells(own: _List, row: AlertRow) -> list[Cell]:
    def tick() -> None:
        if own.may:
            _tick(own, row)

    return [
        tick,
        lambda: marked(*severity(row.severity)),
        lambda: link(capital(retold(row.text)), f"/alerts/{row.id}"),
        lambda: alert_place.where(row),
        alerts.extent_words(row),
        lambda: ago(row.raised_at),
        alerts.state_words(row),
        lambda: _act(own, row),
    ]


def _tick(own: _List, row: AlertRow) -> None:
    mark = box(
        "input", type="checkbox", aria_label=say("Mark: {text}", text=retold(row.text)),
        checked=row.id in own.ticked,
    )  # fmt: skip

    def turn() -> None:
        own.ticked ^= {row.id}

    mark.on("change", turn, args=[])


def _act(own: _List, row: AlertRow) -> None:
    if own.may:
        with box("div").style("display: flex; gap: 6px"):
            _buttons(own, row)


def _buttons(own: _List, row: AlertRow) -> None:
    desk, host = own.desk, own.host
    if row.state == "new":
        button(
            "Acknowledge…",
            lambda: decide.acknowledge(desk, row.id, retold(row.text), host, own.refresh),
            "small",
            acts=True,
            data_key_a=True,
            aria_label=say("Acknowledge: {text}", text=retold(row.text)),
        )
    if row.state in ("new", "acknowledged"):
        button(
            "Shelve…",
            lambda: alert_actions.shelve_one(desk, row, host, own.refresh),
            "small",
            acts=True,
            data_key_s=True,
            aria_label=say("Shelve: {text}", text=retold(row.text)),
        )
    if row.state == "shelved":
        back = attempted(alert_actions.unshelve_one(desk, row, own.refresh))
        label = say("Take off the shelf: {text}", text=retold(row.text))
        button("Take off the shelf", back, "small", acts=True, aria_label=label)


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
