"""Taking an installed meter into service with its first read."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.replace_meter import whole
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.elements import Text
from hesper_ui.services import MeterCard, RegisterWish
from hesper_ui.words import say

Done = Callable[[], Awaitable[None]]


def open_dialog(desk: Desk, card: MeterCard, host: ui.element, done: Done) -> None:
    """Opens the commissioning of one meter."""
    with sheet(host, say("Commission meter {meter}?", meter=card.id)) as page:
        words = (
            "From then on the name that the meter gave itself is fixed. Its first read is what it "
            "sent since it was installed, or what you read from its display."
        )
        Text(say(words), "p")

        def check() -> None:
            text = str(first.value or "").strip()
            page.allow(not text or whole(text) is not None)

        first = entry("Register on its display, Wh", check)
        first.props("inputmode=numeric").mark("first-register")

        async def send() -> None:
            value = whole(first.value)
            wish = None if value is None else RegisterWish(value, datetime.now(UTC))
            actor = await desk.actor()
            await desk.services.meter_life.commission(actor, card.id, wish)
            await done()

        page.buttons("Not now", "Commission", "primary", send)
