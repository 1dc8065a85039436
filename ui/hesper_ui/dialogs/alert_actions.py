"""What is done with alerts: acknowledged, shelved, given to somebody, noted; one or many."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services import Invalid
from hesper_ui.services.alerting import (
    AlertAction,
    AlertFilter,
    AlertRow,
    Selection,
    acknowledge_action,
    add_note,
    assign,
    shelve,
    unshelve,
)
from hesper_ui.views import alerts
from hesper_ui.views.looks import SEVERITIES
from hesper_ui.views.wording import capital, plural, retold
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
TOGETHER = {
    "acknowledge": later("Acknowledge"),
    "shelve": later("Shelve"),
    "unshelve": later("Take off the shelf"),
    "assign": later("Give"),
    "note": later("Note"),
}
_FROM = {"acknowledge": "new", "unshelve": "shelved"}  # the only state that it leads out of
_WORDED = ("shelve", "note")  # those that are nothing without words


def shelve_one(desk: Desk, row: AlertRow, host: ui.element, done: Done) -> None:
    """Opens the shelving of an alert: for how long, and why."""
    with sheet(host, "Shelve this alert?") as page:
        Text(capital(retold(row.text)), "p")
        Text(say("It comes back by itself when the time is over."), "p", "meta")
        hours, reason = _shelf(lambda: page.allow(bool(str(reason.value or "").strip())))

        async def send() -> None:
            make = shelve(alerts.until(str(hours.value)), str(reason.value).strip())
            await desk.services.alerts.act(await desk.actor(), row.id, make)
            await done()

        page.buttons("Not now", "Shelve", "primary", send)
        page.allow(False)


def _shelf(check: Callable[[], object]) -> tuple[ui.select, ui.input]:
    hours = choice("For how long", list(alerts.SHELVES), lambda: None, alerts.SHELVES)
    hours.mark("shelve-hours").value = "8"
    reason = entry("Reason (required)", check).mark("shelve-reason")
    return hours, reason


def unshelve_one(desk: Desk, row: AlertRow, done: Done) -> Callable[[], Awaitable[None]]:
    """Returns what takes an alert off the shelf."""

    async def act() -> None:
        await desk.services.alerts.act(await desk.actor(), row.id, unshelve(""))
        await done()

    return act


def give(desk: Desk, row: AlertRow, people: Sequence[str], host: ui.element, done: Done) -> None:
    """Opens the choice of who sees to an alert."""
    with sheet(host, "Who sees to this alert?") as page:
        Text(capital(retold(row.text)), "p")
        chosen = _person(people, row.assigned_to)

        async def send() -> None:
            await desk.services.alerts.act(await desk.actor(), row.id, assign(chosen()))
            await done()

        page.buttons("Not now", "Give", "primary", send)


def _person(people: Sequence[str], now: str | None) -> Callable[[], str | None]:
    """Draws the choice of a person, and returns what tells who it is."""
    nobody = say("nobody")
    who = choice("Person", [nobody, *people], lambda: None).mark("alert-person")
    who.value = now if now in people else nobody
    return lambda: None if who.value == nobody else str(who.value)


def note(desk: Desk, row: AlertRow, host: ui.element, done: Done) -> None:
    """Opens a note to an alert."""
    with sheet(host, "Note something to this alert") as page:
        Text(capital(retold(row.text)), "p")
        words = entry("Note (required)", lambda: page.allow(bool(str(words.value or "").strip())))
        words.mark("alert-note")

        async def send() -> None:
            make = add_note(str(words.value).strip())
            await desk.services.alerts.act(await desk.actor(), row.id, make)
            await done()

        page.buttons("Not now", "Note", "primary", send)
        page.allow(False)


async def together(
    desk: Desk, wanted: AlertFilter, action: str, host: ui.element, done: Done
) -> None:
    """Holds what a filter finds, shows how many these are, and does one thing to all of them.

    Raises:
        Invalid: the filter finds none to which this can be done.
    """
    actor = await desk.actor()
    narrowed = replace(wanted, state=_FROM.get(action, wanted.state))
    held = await desk.services.alert_selections.hold(actor, narrowed)
    if not held.count:
        raise Invalid(say("There is no alert to which this can be done; look at their states."))
    people = await desk.services.alerts.people(actor) if action == "assign" else ()
    with sheet(host, say("{what}: {count}", what=say(TOGETHER[action]), count=_said(held))) as page:
        _facts(held)
        make = _asked(action, people, page.allow)

        async def send() -> None:
            found = await desk.services.alert_selections.act(
                await desk.actor(), held.id, held.count, make()
            )
            text = say("{count} done", count=plural(found.changed, "alert"))
            if found.passed_over:
                text += say("; {count} were in another state by now", count=found.passed_over)
            ui.notify(text)
            await done()

        page.buttons("Not now", TOGETHER[action], "primary", send)
        page.allow(action not in _WORDED)


def _asked(
    action: str, people: Sequence[str], allow: Callable[[bool], None]
) -> Callable[[], AlertAction]:
    """Draws what an action has to be told, and returns what makes it of that."""
    if action == "assign":
        chosen = _person(people, None)
        return lambda: assign(chosen())
    if action == "shelve":
        hours, reason = _shelf(lambda: allow(bool(_written(reason))))
        return lambda: shelve(alerts.until(str(hours.value)), _written(reason))
    words = entry("Note", lambda: allow(action not in _WORDED or bool(_written(words))))
    words.mark("alert-words")
    make = {"unshelve": unshelve, "note": add_note}.get(action, acknowledge_action)
    return lambda: make(_written(words))


def _written(line: ui.input) -> str:
    return str(line.value or "").strip()


def _said(held: Selection) -> str:
    return plural(held.count, "alert")


def _facts(held: Selection) -> None:
    with box("dl", "facts"):
        for name, count in sorted(held.by_severity.items()):
            Text(capital(say(SEVERITIES[name].word)), "dt")
            Text(str(count), "dd")
