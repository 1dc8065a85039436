"""Where alerts are delivered: targets with how they fare, routes, and what was sent."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import delivery_forms
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Cell, Columns, Text, ago, box, button, link, marked, panel, table
from hesper_ui.part import Part, look_every
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, PageAsked, Permission
from hesper_ui.services.alerting import DeliveryRow, RouteRow, TargetRow
from hesper_ui.views import delivery
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MISSING, grouped, plural, retold
from hesper_ui.words import later, say

MOST = 100
TARGETS = Columns(
    ("Name", "State", "Kind", "Where", "Waiting", "Last taken", "Action"),
    numbers=frozenset({4}),
    wide_only=frozenset({3}),
)
ROUTES = Columns(("Name", "To", "What", "Action"))
MESSAGES = Columns(("When", "State", "What", "To", "Tries", "Said"), numbers=frozenset({4}))
_NEWEST = PageAsked(MOST, sort="-id")


@dataclass(frozen=True, slots=True)
class _Shown:
    targets: Sequence[TargetRow]
    routes: Sequence[RouteRow]
    messages: Sequence[DeliveryRow]


@dataclass
class _Page:
    desk: Desk
    host: ui.element
    may: bool
    part: "Part[_Shown] | None" = None

    async def refresh(self) -> None:
        if self.part is not None:
            await self.part.refresh()


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the page; who may not change anything sees how things stand."""
    own = _Page(desk, box("div", "contents"), actor.may(Permission.ADMINISTER))
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Delivery of alerts"), "h1", tabindex="-1")
            words = "A message is tried until its target has taken it; none is lost meanwhile."
            Text(say(words), "p", "meta")
        with box("div", "actions"):
            link(say("All alerts"), "/alerts", "btn")
            if own.may:
                for kind in delivery.KINDS:
                    _add(own, kind)

    async def load(asking: Actor) -> _Shown:
        log = desk.services.delivery_log
        messages, _ = await log.messages(asking, None, _NEWEST)
        return _Shown(await log.targets(asking), await log.routes(asking), messages)

    own.part = Part(desk, load, lambda shown: _draw(own, shown))
    await own.part.show()
    look_every(5.0, own.refresh)


def _add(own: _Page, kind: str) -> None:
    words = {"email": say("Add mail…"), "webhook": say("Add webhook…"), "mqtt": say("Add MQTT…")}
    _button(
        words[kind],
        say("New target: {kind}", kind=say(delivery.KINDS[kind])),
        lambda: delivery_forms.new_target(own.desk, kind, own.host, own.refresh),
        "btn",
    )


def _draw(own: _Page, shown: _Shown) -> None:
    if not shown.targets:
        with box("section", "panel", aria_label=say("Targets")):
            words = later(
                "Add a mail server, a webhook or our own broker; then say which alerts go there."
            )
            states.empty("Alerts are delivered nowhere yet", words)
        return
    names = {target.id: target.name for target in shown.targets}
    with box("div", "stack"):
        with panel("Targets", plural(len(shown.targets), "target")):
            table("Targets", TARGETS, [_target(own, each) for each in shown.targets])
        _routes(own, shown, names)
        with panel("What was sent", say("newest first")):
            table("Messages", MESSAGES, [_message(each) for each in shown.messages])


def _routes(own: _Page, shown: _Shown, names: dict[int, str]) -> None:
    with panel("Routes", plural(len(shown.routes), "route")) as tools:
        if own.may:
            with tools:
                button(
                    "New route…",
                    lambda: delivery_forms.new_route(
                        own.desk, shown.targets, own.host, own.refresh
                    ),
                    "small",
                    acts=True,
                )
        if shown.routes:
            table("Routes", ROUTES, [_route(own, each, names) for each in shown.routes])
        else:
            Text(say("No alert goes anywhere until a route says so."), "p", "meta")


def _target(own: _Page, row: TargetRow) -> list[Cell]:
    def act() -> None:
        if not own.may:
            return
        with box("div").style("display: flex; gap: 6px; flex-wrap: wrap"):
            label = say("Send a test to {name}", name=row.name)
            _button(say("Send a test"), label, _try(own, row))

            async def removal() -> None:
                await own.desk.services.delivery.remove_target(await own.desk.actor(), row.id)

            _remove(own, row.name, removal)

    return [
        row.name,
        lambda: marked(*delivery.health(row)),
        say(delivery.KINDS[row.kind]),
        delivery.place(row) + (f" · {retold(row.problem)}" if row.problem else ""),
        grouped(row.waiting),
        lambda: ago(row.succeeded_at),
        act,
    ]


def _try(own: _Page, row: TargetRow) -> Callable[[], Awaitable[None]]:
    async def attempt() -> None:
        found = await own.desk.services.delivery.test(await own.desk.actor(), row.id)
        if found.delivered:
            ui.notify(say("{name} took the test: {answer}", name=row.name, answer=found.answer))
        else:
            why = retold(found.answer)
            ui.notify(say("{name} did not: {answer}", name=row.name, answer=why))
        await own.refresh()

    return attempted(attempt)


def _button(words: str, said: str, act: Callable[[], object], kind: str = "btn small") -> None:
    element = Text(words, "button", kind, type="button", aria_label=said, data_acts=True)
    element.on("click", act, args=[])


def _remove(own: _Page, name: str, removal: Callable[[], Awaitable[None]]) -> None:
    def ask() -> None:
        delivery_forms.remove(name, removal, own.host, own.refresh)

    _button(say("Remove…"), say("Remove {name}", name=name), ask)


def _route(own: _Page, row: RouteRow, names: dict[int, str]) -> list[Cell]:
    def act() -> None:
        if own.may:

            async def removal() -> None:
                await own.desk.services.delivery.remove_route(await own.desk.actor(), row.id)

            _remove(own, row.name, removal)

    return [row.name, names.get(row.target, MISSING), delivery.wishes(row), act]


def _message(row: DeliveryRow) -> list[Cell]:
    look = delivery.STATES.get(row.state, Look("unknown", row.state))
    what = say(delivery.MESSAGES.get(row.kind, row.kind))
    if row.changes > 1:
        what += f", {plural(row.changes, 'alert')}"
    return [
        lambda: ago(row.made_at),
        lambda: marked(*look),
        what,
        row.target_name,
        grouped(row.attempts),
        row.reason or "",
    ]


PLACES = [
    Place("/alerts/delivery", "Delivery", build, needs=Permission.READ_AUDIT, group=WATCH, rank=51)
]
