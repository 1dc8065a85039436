"""Putting a value in the place of what a meter said, with a reason; and taking that back."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Text
from hesper_ui.services import LOAD_PROFILE, Curve, Edit, EditRow
from hesper_ui.views import quality
from hesper_ui.words import say

REGISTER = "1.0.1.8.0.255"  # active energy import
Done = Callable[[], Awaitable[None]]


def open_dialog(desk: Desk, meter: str, host: ui.element, done: Done) -> None:
    """Opens the edit of one capture of the energy register."""
    with sheet(host, say("Edit a value of {meter}?", meter=meter)) as page:
        words = "What the meter said stays stored; what you write counts instead, with your name."
        Text(say(words), "p")

        def check() -> None:
            page.allow(all(str(each.value or "").strip() for each in (at, value, reason)))

        at = entry("Capture, UTC, like 2026-11-20 17:45 (required)", check).mark("edit-at")
        value = entry("Energy register, Wh (required)", check).mark("edit-value")
        reason = entry("Reason (required)", check).mark("edit-reason")

        async def send() -> None:
            edit = Edit(
                curve=Curve(meter, LOAD_PROFILE, REGISTER),
                captured_at=quality.moment(str(at.value)),
                value=quality.whole(str(value.value)),
                scaler=0,
                unit=quality.WATT_HOURS,
                reason=str(reason.value).strip(),
                idempotency_key=page.key,
            )
            await desk.services.validated.edit(await desk.actor(), edit)
            await done()

        page.buttons("Not now", "Edit the value", "primary", send)
        page.allow(False)


def withdraw(desk: Desk, row: EditRow, host: ui.element, done: Done) -> None:
    """Opens the withdrawal of an edit: what is stored counts again."""
    with sheet(host, say("Take this edit back?")) as page:
        Text(say("{who} wrote: {why}", who=row.made_by or "–", why=row.reason or "–"), "p")
        reason = entry("Reason (required)", lambda: page.allow(bool(str(reason.value).strip())))
        reason.mark("edit-reason")

        async def send() -> None:
            why = str(reason.value).strip()
            await desk.services.validated.withdraw(await desk.actor(), row.id, why, page.key)
            await done()

        page.buttons("Not now", "Take it back", "primary", send)
        page.allow(False)
