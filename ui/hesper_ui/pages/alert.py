"""One alert: what it is, what hangs below it, what people wrote, and all that became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

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
    link,
    marked,
    moment,
    panel,
    table,
)
from hesper_ui.pages.alert_place import where
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, AlertRow, NotFound, PageAsked, Permission
from hesper_ui.services.alerting import AlertDetail, AlertFilter, NoteRow, StepRow
from hesper_ui.views import alerts, attention_words
from hesper_ui.views.looks import severity
from hesper_ui.views.wording import MISSING, capital, grouped, plural, retold
from hesper_ui.words import say

MOST_BELOW = 50
HISTORY = Columns(("When", "Who", "What", "Said"))
BELOW = Columns(("Meter", "What", "Since"))
NOTES = Columns(("When", "Who", "Note"))


@dataclass(frozen=True, slots=True)
class _Shown:
    detail: AlertDetail
    below: Sequence[AlertRow]


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one alert; it looks again whenever alerts change."""
    alert = _number(args.path_parameters["alert"])
    host = box("div", "contents")
    people: Sequence[str] = ()
    if actor.may(Permission.ACKNOWLEDGE_ALERT):
        people = await desk.services.alerts.people(actor)

    async def load(asking: Actor) -> _Shown:
        detail = await desk.services.alerts.get(asking, alert)
        if not detail.children_count:
            return _Shown(detail, ())
        wanted = AlertFilter(parent=alert, state="open")
        below, _ = await desk.services.alerts.page(asking, wanted, PageAsked(MOST_BELOW))
        return _Shown(detail, below)

    def draw(shown: _Shown) -> None:
        _head(shown.detail.alert, people, desk, (host, part))
        with box("div", "stack"):
            with box("div", "grid-main"):
                with box("div", "stack"), panel("Particulars"):
                    _facts(shown.detail.alert)
                with box("div", "stack"):
                    _notes(shown.detail)
                    _below(shown)
            _history(shown.detail)

    part: Part[_Shown] = Part(desk, load, draw)
    await part.show()
    watch("alerts", part.refresh)
    look_every(15.0, part.refresh)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise NotFound(say("There is no such alert."))
    return int(text)


def _head(
    row: AlertRow, people: Sequence[str], desk: Desk, place: tuple[ui.element, Part[Any]]
) -> None:
    host, part = place
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(capital(retold(row.text)), "h1", tabindex="-1")
            with box("p", "meta"):
                marked(*severity(row.severity))
                Text(f" · {alerts.state_words(row)}")
        if not people or row.state == "cleared":
            return
        with box("div", "actions"):
            if row.state == "new":
                button(
                    "Acknowledge…",
                    lambda: decide.acknowledge(desk, row.id, retold(row.text), host, part.refresh),
                    "primary",
                    acts=True,
                )
            if row.state == "shelved":
                back = attempted(alert_actions.unshelve_one(desk, row, part.refresh))
                button("Take off the shelf", back, acts=True)
            else:
                button(
                    "Shelve…",
                    lambda: alert_actions.shelve_one(desk, row, host, part.refresh),
                    acts=True,
                )
            button(
                "Give to…",
                lambda: alert_actions.give(desk, row, people, host, part.refresh),
                acts=True,
            )
            button("Note…", lambda: alert_actions.note(desk, row, host, part.refresh), acts=True)


def _facts(row: AlertRow) -> None:
    extent = row.extent or {}
    with box("dl", "facts"):
        Text(say("Where"), "dt")
        with box("dd"):
            where(row)
        for name, text in (
            (say("Rule"), attention_words.cause(row.rule)),
            (say("Priority"), grouped(row.priority)),
            (say("Customers"), grouped(row.affected_count)),
            (say("Area"), row.area or MISSING),
            (say("Told"), plural(row.count, "time")),
            (say("Seen to by"), row.assigned_to or say("nobody")),
        ):
            Text(name, "dt")
            Text(text, "dd")
        for name, at in (
            (say("Raised"), row.raised_at),
            (say("Shelved until"), row.shelved_until),
            (say("Cleared"), row.cleared_at),
        ):
            if at is not None:
                Text(name, "dt")
                with box("dd"):
                    moment(at, "date")
        if row.parent is not None:
            Text(say("Below"), "dt")
            with box("dd"):
                link(say("alert {number}", number=row.parent), f"/alerts/{row.parent}")
        for part in extent.get("parts", ()):
            Text(str(part["name"]), "dt")
            Text(_how_many(part), "dd")


def _how_many(part: Mapping[str, object]) -> str:
    """Says how many meters, or gateways, of one part of an extent are concerned."""
    if "gateways" in part:
        return plural(int(str(part["gateways"])), "gateway")
    return plural(int(str(part["meters"])), "meter")


def _notes(detail: AlertDetail) -> None:
    with panel("Notes", plural(len(detail.notes), "note")):
        if detail.notes:
            table("Notes", NOTES, [_note(each) for each in detail.notes])
        else:
            Text(say("Nobody wrote anything yet."), "p", "meta")


def _note(note: NoteRow) -> list[Cell]:
    return [lambda: ago(note.at), note.author, note.text]


def _below(shown: _Shown) -> None:
    if not shown.below:
        return
    count = shown.detail.children_count
    with panel("Hidden below this alert", plural(count, "alert")):
        table("Hidden alerts", BELOW, [_child(each) for each in shown.below])
        if count > len(shown.below):
            Text(say("and {rest} more", rest=grouped(count - len(shown.below))), "p", "meta")


def _child(row: AlertRow) -> list[Cell]:
    return [
        lambda: where(row),
        lambda: link(capital(retold(row.text)), f"/alerts/{row.id}"),
        lambda: ago(row.raised_at),
    ]


def _history(detail: AlertDetail) -> None:
    with panel("History"):
        table("History", HISTORY, [_step(each) for each in detail.history])


def _step(step: StepRow) -> list[Cell]:
    return [
        lambda: moment(step.at, "date"),
        step.who or say("by itself"),
        alerts.step(step.action),
        retold(step.detail or ""),
    ]


PLACES = [Place("/alerts/{alert}", "Alert", build, group=WATCH, rank=50)]
