"""Putting another meter in a meter's place, with what both registers showed."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Text
from hesper_ui.services import ExchangeWish, MeterCard, RegisterWish
from hesper_ui.words import say

Done = Callable[[], Awaitable[None]]


def open_dialog(desk: Desk, card: MeterCard, host: ui.element, done: Done) -> None:
    """Opens the exchange of one meter."""
    with sheet(host, say("Replace meter {meter}?", meter=card.id)) as page:
        words = (
            "The other meter takes over customer, address, place in the grid and protection. This "
            "one goes out of service; its readings stay."
        )
        Text(say(words), "p")

        def check() -> None:
            new, reason = str(other.value or "").strip(), str(why.value or "").strip()
            registers = all(whole(each.value) is not None for each in (final, initial))
            page.allow(bool(new) and registers and len(reason) >= 3)

        other = entry("Serial number of the new meter (required)", check).mark("new-meter")
        final = entry("Final register of this meter, Wh (required)", check)
        final.props("inputmode=numeric").mark("final-register")
        initial = entry("Initial register of the new meter, Wh (required)", check)
        initial.props("inputmode=numeric").mark("initial-register")
        why = entry("Reason (required)", check).mark("exchange-reason")

        async def send() -> None:
            wish = ExchangeWish(
                new_meter=str(other.value).strip(),
                final=RegisterWish(whole(final.value) or 0, datetime.now(UTC)),
                initial_register=whole(initial.value) or 0,
                reason=str(why.value).strip(),
            )
            actor = await desk.actor()
            await desk.services.meter_life.exchange(actor, card.id, wish, card.version)
            ui.notify(say("{new} is in the place of {old}.", new=wish.new_meter, old=card.id))
            await done()

        page.buttons("Not now", "Replace the meter", "primary", send)
        page.allow(False)


def whole(text: object) -> int | None:
    """Returns a register as it was written, None where it is none."""
    written = str(text or "").strip()
    is_whole = written.isascii() and written.isdecimal() and len(written) <= 18
    return int(written) if is_whole else None
