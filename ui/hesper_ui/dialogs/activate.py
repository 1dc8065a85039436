"""Asking for the activation of an image that meters have verified; another person approves it."""

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.decide import Done
from hesper_ui.dialogs.sheet import entry, sheet
from hesper_ui.dialogs.wave_fields import WaveFields
from hesper_ui.elements import Text
from hesper_ui.services import CampaignOrder, CampaignView
from hesper_ui.views import firmware
from hesper_ui.views.wording import plural
from hesper_ui.words import say


def open_dialog(desk: Desk, campaign: CampaignView, host: ui.element, done: Done) -> None:
    """Opens the request; it makes a batch with the same window, and waves of its own."""
    batch, count = campaign.batch, campaign.funnel.verified
    with sheet(host, say("Activate {version}?", version=batch.parameters["version"])) as page:
        words = "{meters} verified the image. They start anew with it, wave by wave."
        Text(say(words, meters=plural(count, "meter has", "meters have")), "p")
        reason = entry("Reason (required)", lambda: page.allow(bool(str(reason.value).strip())))
        reason.mark("activation-reason")
        waves = WaveFields(lambda: None)

        async def send() -> None:
            at_once = firmware.at_once(count)
            more = {"wave_size": at_once, "stop_percent": batch.stop_percent}
            order = CampaignOrder(
                parameters=batch.parameters,
                reason=str(reason.value).strip(),
                terms={**waves.terms(), **more},
            )
            service = desk.services.campaigns
            await service.activate(await desk.actor(), batch.id, order, page.key)
            ui.notify(say("Asked for; another person must approve it."))
            await done()

        page.buttons("Not now", "Ask for activation", "primary", send)
        page.allow(False)
