"""What is done with alerts: acknowledged, shelved, given to somebody, noted; one or many."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
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
from hesper_ui.views.wording import capital, plural
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
TOGETHER = {
    "acknowledge": later("Acknowledge"),
    "shelve": later("Shelve"),
    "unshelve": later("Take off the shelf"),
    "note": later("Note"),
}


def shelve_one(desk: Desk, row: AlertRow, host: ui.element, done: Done) -> None:
    """Opens the shelving of an alert: for how long, and why."""
    with sheet(host, "Shelve this alert?") as page:
        Text(capital(row.text), "p")
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
        Text(capital(row.text), "p")
        nobody = say("nobody")
        who = choice("Person", [nobody, *people], lambda: None).mark("alert-person")
        who.value = row.assigned_to if row.assigned_to in people else nobody

        async def send() -> None:
            make = assign(None if who.value == nobody else str(who.value))
            await desk.services.alerts.act(await desk.actor(), row.id, make)
            await done()

        page.buttons("Not now", "Give", "primary", send)


def note(desk: Desk, row: AlertRow, host: ui.element, done: Done) -> None:
    """Opens a note to an alert."""
    with sheet(host, "Note something to this alert") as page:
        Text(capital(row.text), "p")
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
    """Holds what a filter finds, shows how many these are, and does one thing to all of them."""
    held = await desk.services.alert_selections.hold(await desk.actor(), wanted)
    with sheet(host, say("{what}: {count}", what=say(TOGETHER[action]), count=_said(held))) as page:
        _facts(held)
        if action == "shelve":
            hours, words = _shelf(lambda: page.allow(bool(str(words.value or "").strip())))
        else:
            hours, words = None, entry("Note", lambda: page.allow(_fit(action, words)))
            words.mark("alert-words")

        async def send() -> None:
            make = _action(action, str(words.value or "").strip(), hours)
            found = await desk.services.alert_selections.act(
                await desk.actor(), held.id, held.count, make
            )
            text = say("{count} done", count=plural(found.changed, "alert"))
            if found.passed_over:
                text += say("; {count} were in another state by now", count=found.passed_over)
            ui.notify(text)
            await done()

        page.buttons("Not now", TOGETHER[action], "primary", send)
        page.allow(action in ("acknowledge", "unshelve") and held.count > 0)


def _said(held: Selection) -> str:
    return plural(held.count, "alert")


def _fit(action: str, words: ui.input) -> bool:
    return action != "note" or bool(str(words.value or "").strip())


def _facts(held: Selection) -> None:
    with box("dl", "facts"):
        for name, count in sorted(held.by_severity.items()):
            Text(capital(say(SEVERITIES[name].word)), "dt")
            Text(str(count), "dd")


def _action(action: str, words: str, hours: ui.select | None) -> AlertAction:
    if action == "shelve" and hours is not None:
        return shelve(alerts.until(str(hours.value)), words)
    if action == "unshelve":
        return unshelve(words)
    return add_note(words) if action == "note" else acknowledge_action(words)
