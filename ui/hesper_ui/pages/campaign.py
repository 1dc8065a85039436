"""One campaign: its funnel, the batch that brings the image, and those that activate it."""

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import activate
from hesper_ui.elements import Text, ago, box, button, link, marked, panel
from hesper_ui.pages import batch as batch_page
from hesper_ui.pages.batch_head import Head, decision
from hesper_ui.pages.batches import bar
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import Place
from hesper_ui.services import Actor, BatchView, CampaignView, Permission
from hesper_ui.views import batches, firmware
from hesper_ui.views.wording import MISSING, grouped, plural
from hesper_ui.words import say


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one campaign."""
    campaign_id = args.path_parameters["campaign"]
    host = box("div", "contents")

    async def load(asking: Actor) -> CampaignView:
        return await desk.services.campaigns.get(asking, campaign_id)

    head = Head(desk, actor, host)

    def draw(found: CampaignView) -> None:
        head.draw(found.batch, part.refresh)
        batch_page.progress(actor, found.batch)
        with box("div", "grid-main"):
            with box("div", "stack"):
                _funnel(found)
                _activations(desk, actor, found, host, part)
            with box("div", "stack"):
                _image(found.batch)
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


def _activations(
    desk: Desk, actor: Actor, found: CampaignView, host: ui.element, part: Part[CampaignView]
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
                    link(say("asked by {who}", who=each.requester), f"/batches/{each.id}")
                    ago(each.proposed_at)
                bar(each)
                with box("div", "actions"):
                    for verb in batches.verbs(each, actor):
                        decision(desk, each, verb, host, part.refresh)


def _image(batch: BatchView) -> None:
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


PLACES = [Place("/firmware/{campaign}", "Campaign", build)]
