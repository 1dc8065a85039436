"""Firmware: images that two people have signed, and the campaigns that bring them."""

from collections.abc import Sequence

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, fields, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, moment, panel, table
from hesper_ui.pages.image_news import about_image
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import ACT, Place
from hesper_ui.services import Actor, BatchView, CampaignView, ImageRow, Permission
from hesper_ui.views import batches, firmware
from hesper_ui.views.wording import MISSING, grouped
from hesper_ui.words import say

MOST = 50
IMAGES = Columns(
    ("Version", "For", "Hardware", "From version", "Size", "State", "Good until", "SHA-256"),
    numbers=frozenset({4}),
    wide_only=frozenset({7}),
)
CAMPAIGNS = Columns(
    (
        "Campaign",
        "State",
        "Targeted",
        "Downloaded",
        "Verified",
        "Activated",
        "Confirmed",
        "Failed",
        "Proposed",
    ),
    numbers=frozenset({2, 3, 4, 5, 6, 7}),
)
_Found = tuple[Sequence[CampaignView], Sequence[ImageRow]]


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds both lists."""
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Firmware"), "h1", tabindex="-1")
            words = "An image is brought by one approved list, and activated by another."
            Text(say(words), "p", "meta")
        if actor.may(Permission.REQUEST_COMMAND):
            link(say("New campaign…"), "/firmware/new", "btn primary")

    async def load(asking: Actor) -> _Found:
        services = desk.services
        return await services.campaigns.all(asking, MOST), await services.images.all(asking)

    part = Part(desk, load, _draw)
    await part.show()
    if actor.may(Permission.REQUEST_COMMAND):
        _bring()
        watch("images", part.refresh)
    watch("commands", part.refresh)
    look_every(10.0, part.refresh)


def _draw(found: _Found) -> None:
    campaigns, images = found
    with box("div", "stack"):
        with panel("Campaigns", "newest first" if campaigns else ""):
            if campaigns:
                table("Campaigns", CAMPAIGNS, [_campaign(each) for each in campaigns])
            else:
                states.empty("No campaign yet", "Choose an image and the meters that get it.")
        with panel("Images"):
            if images:
                table("Images", IMAGES, [_image(each) for each in images])
                for each in images:
                    if each.changelog:
                        with box("div", "news"):
                            about_image(each)
            else:
                states.empty(
                    "No image yet",
                    "Two release keys sign its manifest (hesper-cloud image describe, then sign); "
                    "bring both files here.",
                )


def _bring() -> None:
    """Draws the form for a manifest and its octets; a script sends them, one after the other."""
    with (
        panel("Bring an image", classes="form bring"),
        box("form", data_image="/console/images", aria_label=say("Bring an image")),
    ):
        words = "The manifest goes first: only what two release keys have signed is taken."
        Text(say(words), "p", "meta lead")
        with box("div", "fields"):
            fields.file("manifest", "Signed manifest (JSON)", ".json,.manifest,application/json")
            fields.file("octets", "Image, as the meter or gateway gets it", "")
        fields.lines("changelog", "What is new in it, as people are to read it (optional)")
        Text("", "p", "complaint", role="alert", data_upload_said=True)
        Text("", "p", "meta", role="status", data_upload_done=True)
        with box("div", "actions"):
            Text(say("Bring it"), "button", "btn", type="submit", data_acts=True)


def _campaign(each: CampaignView) -> list[Cell]:
    funnel = each.funnel
    counts = [funnel.targeted, funnel.downloaded, funnel.verified, funnel.activated]
    version = str(each.batch.parameters.get("version", MISSING))
    return [
        lambda: link(version, f"/firmware/{each.batch.id}"),
        lambda: _state(each.batch),
        *(grouped(count) for count in (*counts, funnel.confirmed, funnel.failed)),
        lambda: ago(each.batch.proposed_at),
    ]


def _state(batch: BatchView) -> None:
    marked(*batches.state(batch))
    if wave := batches.wave(batch):
        Text(wave, "div", "meta")


def _image(row: ImageRow) -> list[Cell]:
    return [
        row.version,
        say(firmware.TYPES[row.type]),
        row.hardware,
        row.minimum_version or say("any"),
        say("{count} kB", count=grouped(-(-row.size // 1000))),
        lambda: marked(*firmware.image_state(row)),
        lambda: moment(row.not_after, "date"),
        lambda: Text(row.image_hash, classes="hash short"),
    ]


PLACES = [Place("/firmware", "Firmware", build, drawings.FIRMWARE, group=ACT, rank=30, key="f")]
