"""A new campaign: an image, who gets it, in which waves and at which time of day."""

import uuid
from collections.abc import Sequence
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, key_after
from hesper_ui.dialogs.wave_fields import WaveFields
from hesper_ui.elements import Text, block, box, button, link, panel
from hesper_ui.pages.batch_new import chosen, terms, whole
from hesper_ui.pages.image_news import about_image
from hesper_ui.places import Place
from hesper_ui.selections import Selection
from hesper_ui.services import Actor, CampaignOrder, ImageRow, Permission, ServiceError
from hesper_ui.services.answering import answered
from hesper_ui.views import firmware, serials
from hesper_ui.views.wording import sentence
from hesper_ui.words import later, say

_AT_ONCE = later("At once, at most")
_STOP = later("Stop above this share of failures, %")


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the form; ``selection`` in the address names the meters chosen in their list."""
    kept = None
    if wanted := args.query_parameters.get("selection", ""):
        kept = desk.selections.get(actor.username, wanted)
    images = firmware.usable(list(await desk.services.images.all(actor)))
    with box("div", "page-head"), box("div", "titles"):
        Text(say("New campaign"), "h1", tabindex="-1")
        words = "It brings an image to meters and has it verified; activating it is asked apart."
        Text(say(words), "p", "meta")
    if not actor.may(Permission.REQUEST_COMMAND):
        role = say(actor.role.value)
        states.notice("unknown", say("Your role ({role}) may look, not command.", role=role))
        return
    if not images:
        with box("section", "panel", aria_label=say("Image")):
            states.empty("No image can be brought", "Bring one that two release keys have signed.")
        return
    _Form(desk, images, kept)


class _Form:
    _go: Text | None = None  # until the whole form is drawn

    def __init__(self, desk: Desk, images: Sequence[ImageRow], kept: Selection | None) -> None:
        self._desk, self._kept = desk, kept
        self._images = {row.image_hash: row for row in images}
        self._key = uuid.uuid4().hex
        self._meters: ui.textarea | None = None
        self._draw_choice()
        at_once = firmware.at_once(kept.total if kept else 500)
        with panel("Waves", classes="form"):
            self._waves = WaveFields(self._check)
            with box("div", "fields"):
                self._terms = terms({"wave_size": (_AT_ONCE, at_once), "stop_percent": (_STOP, 10)})
        self._draw_window()
        self._complaint = Text("", "p", "complaint", role="alert")
        with box("div", "actions"):
            link(say("Cancel"), "/firmware", "btn")
            self._go = button("Freeze the list", self._propose, "primary", acts=True)
        self._check()

    def _draw_choice(self) -> None:
        names = {
            key: f"{row.version} · {row.hardware} · {key[:12]}" for key, row in self._images.items()
        }
        with panel("Image", classes="form"):
            self._image = choice("Image (required)", list(names), self._chosen, names)
            self._image.mark("image")
            self._news = box("div", "stack")
            self._reason = entry("Why now (required)", self._check)
            self._reason.mark("campaign-reason")
        with panel("Meters", classes="form"):
            self._meters = chosen(self._kept, self._check)

    def _draw_window(self) -> None:
        with panel("Time of day", classes="form"):
            Text(say("Empty: at any time. It may span midnight."), "p", "meta")
            with box("div", "fields"):
                self._opens = entry("Opens, like 01:00", self._check)
                self._closes = entry("Closes, like 05:00", self._check)
                self._zone = entry("Time zone, like Europe/Berlin", self._check)

    def _chosen(self) -> None:
        self._news.clear()
        if self._image.value:
            with self._news:
                about_image(self._images[str(self._image.value)])
        self._check()

    def _check(self) -> None:
        named = self._kept is not None or bool(self._written())
        told = self._image.value and str(self._reason.value or "").strip()
        if self._go is not None:
            block(self._go, not (named and told))

    def _written(self) -> str:
        return "" if self._meters is None else str(self._meters.value or "")

    async def _propose(self) -> None:
        try:
            with answered():
                order, actor = self._order(), await self._desk.actor()
                made = await self._desk.services.campaigns.propose(actor, order, self._key)
        except ServiceError as refusal:
            self._complaint.text = sentence(refusal)
            self._key = key_after(refusal, self._key)
            return
        ui.navigate.to(f"/firmware/{made.batch.id}")

    def _order(self) -> CampaignOrder:
        image, kept = self._images[str(self._image.value)], self._kept
        wish: dict[str, Any] = {"image": image.image_hash, "version": image.version}
        if opens := str(self._opens.value or "").strip():
            closes, zone = str(self._closes.value or ""), str(self._zone.value or "")
            wish["window"] = {
                "opens": opens,
                "closes": closes.strip(),
                "zone": zone.strip() or "UTC",
            }
        return CampaignOrder(
            parameters=wish,
            reason=str(self._reason.value).strip(),
            names=kept.ids if kept else serials.read(self._written()),
            query=kept.query if kept else None,
            terms={
                **self._waves.terms(),
                **{name: whole(field) for name, field in self._terms.items()},
            },
        )


PLACES = [Place("/firmware/new", "New campaign", build, needs=Permission.REQUEST_COMMAND)]
