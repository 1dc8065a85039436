"""What is asked of a gateway itself: to start anew, to take a file, to take a program."""

import tomllib
from collections.abc import Awaitable, Callable

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.plan_forms import text_area
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text
from hesper_ui.services import CommandWish, GatewayRow, Invalid
from hesper_ui.views import firmware, gateway_words
from hesper_ui.views.looks import command_state
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
_RESTART = later(
    "Its meters are not read while it starts, and it takes up where it was. What waits in its "
    "outbox stays there."
)
_CONFIGURE = later(
    "The gateway checks the whole file, tries it, and takes the old one back if it does not reach "
    "the broker with it. Its name, keys, state and ceilings are changed at the gateway alone."
)
_UPDATE = later(
    "The gateway fetches the image, checks both signatures, starts with it, and goes back by "
    "itself if the new program does not hold."
)


class _Asking:
    """Sends what is wished of one gateway."""

    def __init__(self, desk: Desk, gateway: str, done: Done) -> None:
        self._desk, self._gateway, self._done = desk, gateway, done

    async def ask(self, kind: str, parameters: dict[str, object], reason: str, key: str) -> None:
        """Asks for a command, the same under the same key; says how it stands then."""
        wish = CommandWish(kind, "", parameters, reason, gateway=self._gateway)
        actor = await self._desk.actor()
        made = await self._desk.services.commands.request(actor, wish, key)
        ui.notify(say("Asked for: {state}.", state=say(command_state(made.state).word)))
        await self._done()


def _reason(check: Callable[[], object]) -> ui.input:
    return entry("Reason (required)", check).mark("gateway-reason")


def _said(line: ui.input) -> str:
    return str(line.value or "").strip()


def restart(desk: Desk, row: GatewayRow, host: ui.element, done: Done) -> None:
    """Opens the request to start a gateway anew."""
    asking = _Asking(desk, row.id, done)
    with sheet(host, say("Restart {gateway}?", gateway=row.id)) as page:
        Text(say(_RESTART), "p")
        reason = _reason(lambda: page.allow(bool(_said(reason))))

        async def send() -> None:
            await asking.ask("gateway.restart", {}, _said(reason), page.key)

        page.buttons("Not now", "Ask for the restart", "primary", send)
        page.allow(False)


async def configure(desk: Desk, row: GatewayRow, host: ui.element, done: Done) -> None:
    """Opens the request to take another gateway.toml; begins with the one that is in force."""
    known = await desk.services.gateways.configuration(await desk.actor(), row.id)
    asking = _Asking(desk, row.id, done)
    with sheet(host, say("Configure {gateway}?", gateway=row.id), wide=True) as page:
        Text(say(_CONFIGURE), "p")
        if known is None:
            words = "Its present file is not known here: bring it as a whole."
            Text(say(words), "p", "meta")

        def check() -> None:
            changed = bool(_said(file)) and str(file.value) != known
            page.allow(changed and bool(_said(reason)))

        file = text_area(later("The whole file gateway.toml (required)"), known or "", check)
        file.mark("gateway-toml")
        reason = _reason(check)
        Text(say("Another person must approve it, and sees the whole file."), "p", "meta")

        async def send() -> None:
            text = str(file.value)
            try:
                tomllib.loads(text)
            except (ValueError, RecursionError) as error:
                raise Invalid(say("This is no TOML: {error}", error=error)) from None
            await asking.ask("gateway.configure", {"toml": text}, _said(reason), page.key)

        page.buttons("Not now", "Ask for this file", "primary", send)
        page.allow(False)


async def update(desk: Desk, row: GatewayRow, host: ui.element, done: Done) -> None:
    """Opens the request to take another program, of images that two release keys have signed."""
    images = firmware.usable(list(await desk.services.images.all(await desk.actor())))
    offered = gateway_words.programs(images)
    versions = {image.image_hash: image.version for image in images}
    asking = _Asking(desk, row.id, done)
    with sheet(host, say("Update {gateway}?", gateway=row.id)) as page:
        Text(say(_UPDATE), "p")
        if not offered:
            words = "There is no image for gateways. Bring one under Firmware first."
            Text(say(words), "p", "complaint")

        def check() -> None:
            page.allow(image.value in offered and bool(_said(reason)))

        image = choice("Image (required)", list(offered), check, offered).mark("gateway-image")
        reason = _reason(check)
        Text(say("Another person must approve it."), "p", "meta")

        async def send() -> None:
            chosen = str(image.value)
            wish: dict[str, object] = {"image": chosen, "version": versions[chosen]}
            await asking.ask("gateway.update", wish, _said(reason), page.key)

        page.buttons("Not now", "Ask for the update", "primary", send)
        page.allow(False)
