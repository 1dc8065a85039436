"""One customer or SIM card: what is kept of it, what it is linked to, who changed what."""

from collections.abc import Sequence

from nicegui import ui

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import asset_form
from hesper_ui.elements import Text, box, button, link, marked, moment, panel
from hesper_ui.part import Part
from hesper_ui.services import (
    Actor,
    ChangeRow,
    CustomerRow,
    NotFound,
    Permission,
    SimRow,
)
from hesper_ui.views import assets
from hesper_ui.views.assets import FIELDS, Kept, KeptKind, Written
from hesper_ui.views.wording import MISSING
from hesper_ui.words import say

CHANGES = 50
LISTS: dict[KeptKind, str] = {"customer": "/customers", "sim": "/customers/sims"}


async def build(desk: Desk, actor: Actor, kind: KeptKind, key: str) -> None:
    """Builds the page; it looks again after each change that is made on it."""
    dialogs = box("div", "contents")
    may_edit = actor.may(Permission.EDIT_ASSETS)

    async def load(asking: Actor) -> tuple[Kept, Sequence[ChangeRow]]:
        found = await desk.services.assets.get(asking, kind, key)
        if not isinstance(found, CustomerRow | SimRow):
            raise NotFound(say("There is nothing here under this name."))
        changes = await desk.services.assets.history(asking, kind, key, None, CHANGES)
        return found, changes

    def draw(loaded: tuple[Kept, Sequence[ChangeRow]]) -> None:
        record, changes = loaded
        _head(desk, kind, record, dialogs, part if may_edit else None)
        with box("div", "grid-main").style("margin-top: 16px"):
            with box("div", "stack"):
                with panel("Particulars"):
                    _particulars(kind, record)
                with panel("Changes", "newest first"):
                    history(changes)
            with box("div", "stack"), panel("Linked to"):
                _links(record)

    part = Part(desk, load, draw)
    await part.show()


def _head(
    desk: Desk,
    kind: KeptKind,
    record: Kept,
    dialogs: ui.element,
    part: Part[tuple[Kept, Sequence[ChangeRow]]] | None,
) -> None:
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(assets.title_of(record), "h1", tabindex="-1")
            with box("div", "meta status-line"):
                marked(*assets.state(record))
                if isinstance(record, SimRow):
                    marked(*assets.use_look(record))
        if part is not None:
            with box("div", "actions"):
                _actions(desk, kind, record, dialogs, part)


def _actions(
    desk: Desk,
    kind: KeptKind,
    record: Kept,
    dialogs: ui.element,
    part: Part[tuple[Kept, Sequence[ChangeRow]]],
) -> None:
    async def again(_: Written) -> None:
        await part.refresh()

    async def to_the_list() -> None:
        ui.navigate.to(LISTS[kind])

    button("Change…", lambda: asset_form.open_form(desk, kind, record, dialogs, again), acts=True)
    button(
        "Delete…",
        lambda: asset_form.open_deletion(desk, kind, record, dialogs, to_the_list),
        "quiet",
        acts=True,
    )


def _particulars(kind: KeptKind, record: Kept) -> None:
    with box("dl", "facts"):
        for field in FIELDS[kind]:
            if not field.options:
                Text(say(assets.LABELS[field.name]), "dt")
                Text(assets.text_of(record, field) or MISSING, "dd")


def _links(record: Kept) -> None:
    if isinstance(record, SimRow):
        where(record)
        return
    if not record.meters:
        states.empty("No meter yet", "A meter's page links it to its customer.")
        return
    with box("ul", "plain"):
        for meter in record.meters:
            with box("li"):
                link(meter, f"/meters/{meter}")


def where(card: SimRow) -> None:
    """Shows where a SIM card is."""
    if card.meter:
        link(card.meter, f"/meters/{card.meter}")
    elif card.gateway:
        link(card.gateway, f"/gateways/{card.gateway}")
    else:
        Text(say("in nothing"), classes="meta")


def history(changes: Sequence[ChangeRow]) -> None:
    """Draws the changes of an asset, each in lines that fit a narrow column."""
    if not changes:
        states.empty(
            "No change on record", "Every change made here is written down, with its maker."
        )
        return
    with box("ul", "row-list changes", aria_label=say("Changes")):
        for change in changes:
            with box("li"):
                _change(change)


def _change(change: ChangeRow) -> None:
    with box("div", "meta"):
        moment(change.at, "date")
        Text(f" · {change.who}")
    Text(assets.action(change), "div", "what")
    for line in assets.told(change):
        Text(line, "div")
    if change.reason:
        Text(f"{say('Why')}: {change.reason}", "div")
