"""One campaign: its funnel, the batch that brings the image, and those that activate it."""

from dataclasses import dataclass

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import activate
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
from hesper_ui.pages import batch as batch_page
from hesper_ui.pages.batch_head import Head, decision
from hesper_ui.pages.batches import bar
from hesper_ui.pages.image_news import about_image
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import Place
from hesper_ui.services import Actor, BatchView, CampaignView, ImageRow, Permission, WaveView
from hesper_ui.views import batches, firmware
from hesper_ui.views.wording import MISSING, grouped, plural
from hesper_ui.words import say

WAVES = Columns(("Wave", "State", "Meters", "Confirmed", "Failed"), numbers=frozenset({0, 2, 3, 4}))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A campaign, and its image where that is still kept."""

    campaign: CampaignView
    image: ImageRow | None


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one campaign."""
    campaign_id = args.path_parameters["campaign"]
    host = box("div", "contents")
    left_out = await desk.services.batches.excluded(actor, campaign_id)

    async def load(asking: Actor) -> _Shown:
        found = await desk.services.campaigns.get(asking, campaign_id)
        wanted = found.batch.parameters.get("image")
        kept = [row for row in await desk.services.images.all(asking) if row.image_hash == wanted]
        return _Shown(found, kept[0] if kept else None)

    head = Head(desk, actor, host)

    def draw(shown: _Shown) -> None:
        found = shown.campaign
        head.draw(found.batch, part.refresh)
        batch_page.progress(actor, found.batch)
        with box("div", "grid-main"):
            with box("div", "stack"):
                _funnel(found)
                _waves(found)
                _activations(desk, actor, found, host, part)
            with box("div", "stack"):
                _image(found.batch, shown.image)
                batch_page.excluded(found.batch, left_out)
                batch_page.terms(found.batch)

    part = Part(desk, load, draw)
    await part.show()
    watch("commands", part.refresh)
    look_every(3.0, part.refresh)


def _funnel(found: CampaignView) -> None:
    note = plural(found.funnel.failed, "failure") if found.funnel.failed else ""
    with panel("Funnel", note), box("ol", "funnel"):
        for step in firmware.funnel(found.funnel):
            with box("li"):
                Text(say(step.name))
                with box("span", "funnel-bar", aria_hidden="true"):
                    box("span").style(f"width: {step.percent:.2f}%")
                Text(grouped(step.count), "strong", "number")
    link(say("All rows of this batch"), f"/batches/{found.batch.id}")


def _waves(found: CampaignView) -> None:
    """Draws how far each wave has come, and what the next waits for."""
    batch = found.batch
    if not found.waves:
        return
    with panel("Waves", firmware.between(batch)):
        if firmware.is_held_between(batch, found.waves):
            words = "Wave {number} is over. An approver lets the next begin: Resume…"
            states.notice("info", say(words, number=batch.wave + 1))
        elif batch.soaks_until is not None and batches.is_open(batch):
            with box("p", "meta lead"):
                Text(say("Wave {number} is over; the next begins at", number=batch.wave + 1) + " ")
                moment(batch.soaks_until, "date")
        rows = [_wave(batch, place, wave) for place, wave in enumerate(found.waves)]
        table("Waves", WAVES, rows)


def _wave(batch: BatchView, place: int, wave: WaveView) -> list[Cell]:
    counts = (wave.rows, wave.confirmed, wave.failed)
    look = firmware.wave_state(batch, place, wave)
    return [str(place + 1), lambda: marked(*look), *(grouped(count) for count in counts)]


def _activations(
    desk: Desk, actor: Actor, found: CampaignView, host: ui.element, part: Part["_Shown"]
) -> None:
    with panel("Activation", "a list and an approval of its own") as tools:
        if firmware.may_activate(found) and actor.may(Permission.REQUEST_COMMAND):
            with tools:
                button(
                    "Ask for activation…",
                    lambda: activate.open_dialog(desk, found, host, part.refresh),
                    "small",
                    acts=True,
                )
        if not found.activations:
            states.empty(
                "Nothing is activated yet",
                "Once meters have verified the image, its activation can be asked for.",
            )
        for each in found.activations:
            with box("div", "stack activation"):
                with box("div", "marked"):
                    marked(*batches.state(each))
                    if wave := batches.wave(each):
                        Text(wave)
                    link(say("asked by {who}", who=each.requester), f"/batches/{each.id}")
                    ago(each.proposed_at)
                bar(each)
                with box("div", "actions"):
                    for verb in batches.verbs(each, actor):
                        decision(desk, each, verb, host, part.refresh)


def _image(batch: BatchView, image: ImageRow | None) -> None:
    wish = batch.parameters
    window = wish.get("window")
    told = [
        (say("Version"), str(wish.get("version", MISSING))),
        (
            say("Window"),
            f"{window['opens']}–{window['closes']} {window['zone']}" if window else say("always"),
        ),
    ]
    with panel("Image"), box("dl", "facts"):
        for name, text in told:
            Text(name, "dt")
            Text(text, "dd")
        Text("SHA-256", "dt")
        Text(str(wish.get("image", MISSING)), "dd", "hash")
        if image is not None:
            Text(say("Changelog"), "dt")
            with box("dd", "stack"):
                about_image(image)


PLACES = [Place("/firmware/{campaign}", "Campaign", build)]
