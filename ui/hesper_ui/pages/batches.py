"""Batches: one kind of command for many meters, each with how far it has come."""

from collections.abc import Sequence

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, panel, table
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import ACT, Place
from hesper_ui.services import Actor, BatchView, Permission
from hesper_ui.views import batches
from hesper_ui.views.looks import command_kind
from hesper_ui.views.wording import grouped
from hesper_ui.words import say

MOST = 100
COLUMNS = Columns(
    ("Batch", "State", "Progress", "Reaches", "Excluded", "Asked by", "Proposed"),
    numbers=frozenset({3, 4}),
)


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the list of batches, newest first."""
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Batches"), "h1", tabindex="-1")
            words = "Many meters, one command: a frozen list, a canary first, and an end at once."
            Text(say(words), "p", "meta")
        if actor.may(Permission.REQUEST_COMMAND):
            link(say("New batch…"), "/batches/new", "btn primary")

    async def load(asking: Actor) -> Sequence[BatchView]:
        return await desk.services.batches.list(asking, None, MOST)

    part = Part(desk, load, _draw)
    await part.show()
    watch("commands", part.refresh)
    look_every(5.0, part.refresh)


def _draw(rows: Sequence[BatchView]) -> None:
    if not rows:
        with box("section", "panel", aria_label=say("Batches")):
            states.empty(
                "No batch yet",
                "Select meters in their list and choose a command; nothing leaves before another "
                "person has approved the list.",
            )
        return
    with panel("Newest first"):
        table("Batches", COLUMNS, [_cells(row) for row in rows])


def _cells(row: BatchView) -> list[Cell]:
    return [
        lambda: link(command_kind(row.kind), f"/batches/{row.id}"),
        lambda: marked(*batches.state(row)),
        lambda: bar(row),
        grouped(batches.taking_part(row)),
        grouped(batches.excluded(row)),
        row.requester,
        lambda: ago(row.proposed_at),
    ]


def bar(batch: BatchView) -> None:
    """Draws how far a batch has come, one part for each state, and says it."""
    parts = batches.shares(batch)
    said = ", ".join(
        f"{grouped(part.count)} {say(batches.ROWS[part.state].word)}" for part in parts
    )
    with box("div", "progress", role="img", aria_label=said or say("nothing takes part")):
        for part in parts:
            box("span", f"part part-{part.state}").style(f"width: {part.percent:.2f}%")


PLACES = [Place("/batches", "Batches", build, drawings.BATCHES, group=ACT, rank=20, key="b")]
