"""Gaps: what is missing in the store over the whole fleet, and why."""

from collections.abc import Sequence

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, moment, panel, table
from hesper_ui.part import Part, look_every
from hesper_ui.places import QUALITY, Place
from hesper_ui.services import Actor, GapRow
from hesper_ui.views import doubts
from hesper_ui.views.wording import plural
from hesper_ui.words import say

MOST = 200
COLUMNS = Columns(("Meter", "Intervals", "From", "To", "Cause", "Noticed"), numbers=frozenset({1}))


async def build(desk: Desk, _actor: Actor, _: PageArguments) -> None:
    """Builds the list of open gaps."""
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Gaps"), "h1", tabindex="-1")
        Text(say("Load profile captures that were due and are not stored."), "p", "meta")

    async def load(asking: Actor) -> Sequence[GapRow]:
        return await desk.services.meters.open_gaps(asking, MOST)

    part = Part(desk, load, _draw)
    await part.show()
    look_every(15.0, part.refresh)


def _draw(rows: Sequence[GapRow]) -> None:
    if not rows:
        with box("section", "panel", aria_label=say("Gaps")):
            states.empty("Nothing is missing", "Every capture that was due is stored.")
        return
    missing = plural(sum(row.expected_count for row in rows), "interval")
    note = say("{missing} missing; each fills by itself", missing=missing)
    if len(rows) == MOST:
        note = f"{say('the newest {count}', count=MOST)}: {note}"
    with panel("Open gaps, newest first", note):
        table("Gaps", COLUMNS, [_cells(row) for row in rows])


def _cells(row: GapRow) -> list[Cell]:
    return [
        lambda: link(row.meter, f"/meters/{row.meter}"),
        str(row.expected_count),
        lambda: moment(row.from_at, "date"),
        lambda: moment(row.to_at, "date"),
        lambda: marked("offline", doubts.cause(row.cause)),
        lambda: ago(row.noticed_at),
    ]


PLACES = [
    Place(
        "/gaps",
        "Gaps",
        build,
        drawings.GAPS,
        figure="gaps_open",
        tone="neutral",
        said="open",
        group=QUALITY,
        rank=10,
        key="l",
    )
]
