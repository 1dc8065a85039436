"""Outages: who lost power together, which part of the grid that is, and who has it again."""

from collections.abc import Sequence
from urllib.parse import urlencode

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, moment, panel, table
from hesper_ui.part import Part, look_every
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, Invalid, NotFound, OutageDetail, OutageRow, PageAsked
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MISSING, grouped, plural
from hesper_ui.words import later, say

STATES = {
    "open": Look("critical", "without power"),
    "restored": Look("done", "restored"),
    "merged": Look("stopped", "part of a larger one"),
}
KINDS = {
    "area": later("area"),
    "feeder": later("feeder"),
    "transformer": later("transformer"),
    "gateway": later("gateway"),
    "meter": later("meter"),
}
FILTERS = {"": later("All"), "open": later("Without power"), "restored": later("Restored")}
COLUMNS = Columns(
    ("Where", "State", "Began", "Meters that told", "With power again", "Customers, about", "Area"),
    numbers=frozenset({3, 4, 5}),
    wide_only=frozenset({6}),
)
METERS = Columns(("Meter", "Lost power", "Power again", "Known by"))
PROOFS = {"event": later("its own word"), "reading": later("a later reading")}
MOST = 200


async def build(desk: Desk, _actor: Actor, args: PageArguments) -> None:
    """Builds the list of outages."""
    state = args.query_parameters.get("state", "")
    if state not in FILTERS:
        raise Invalid(say("There is no such filter."))
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Outages"), "h1", tabindex="-1")
        Text(
            say("Meters that lost power together, by their last words and their logs."), "p", "meta"
        )
    with box("nav", "chips", aria_label=say("Filters")):
        for name, words in FILTERS.items():
            target = f"/outages?{urlencode({'state': name})}" if name else "/outages"
            Text(
                say(words), "a", "chip", href=target, aria_current="true" if name == state else None
            )

    async def load(asking: Actor) -> Sequence[OutageRow]:
        rows, _ = await desk.services.outages.page(asking, state or None, None, PageAsked(MOST))
        return rows

    part = Part(desk, load, _draw)
    await part.show()
    look_every(5.0, part.refresh)


def _draw(rows: Sequence[OutageRow]) -> None:
    if not rows:
        with box("section", "panel", aria_label=say("Outages")):
            states.empty("No outage here", "Meters tell of lost power as it goes, or afterwards.")
        return
    with panel("Newest first"):
        table("Outages", COLUMNS, [_cells(row) for row in rows])


def where(row: OutageRow) -> str:
    """Returns what is without power, in words."""
    return row.name if row.kind == "meter" else f"{say(KINDS.get(row.kind, row.kind))} {row.name}"


def _cells(row: OutageRow) -> list[Cell]:
    return [
        lambda: link(where(row), f"/outages/{row.id}"),
        lambda: marked(*STATES[row.state]),
        lambda: moment(row.began_at, "date"),
        grouped(row.lost_count),
        grouped(row.back_count),
        grouped(row.customer_count),
        row.area or MISSING,
    ]


async def build_one(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds one outage with the first of its meters: those without power, then by name."""
    number = args.path_parameters["outage"]
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise NotFound(say("There is no such outage."))

    async def load(asking: Actor) -> OutageDetail:
        return await desk.services.outages.get(asking, int(number), MOST)

    first = await load(actor)
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Outage, {where}", where=where(first.row)), "h1", tabindex="-1")
    part = Part(desk, load, _draw_one)
    await part.show()
    look_every(5.0, part.refresh)


def _draw_one(found: OutageDetail) -> None:
    row = found.row
    with panel("Extent"), box("dl", "facts"):
        Text(say("State"), "dt")
        with box("dd"):
            marked(*STATES[row.state])
        Text(say("Began"), "dt")
        with box("dd"):
            moment(row.began_at, "date")
            Text(" ")
            ago(row.began_at)
        if row.restored_at is not None:
            Text(say("Restored"), "dt")
            with box("dd"):
                moment(row.restored_at, "date")
        Text(say("Meters"), "dt")
        words = say(
            "{back} of {lost} have power again",
            back=grouped(row.back_count),
            lost=plural(row.lost_count, "meter"),
        )
        Text(words, "dd")
        Text(say("Customers"), "dt")
        Text(say("about {count}", count=grouped(row.customer_count)), "dd")
        if row.merged_into is not None:
            Text(say("Part of"), "dt")
            with box("dd"):
                link(say("outage {number}", number=row.merged_into), f"/outages/{row.merged_into}")
    with panel("Meters", _left_out(found)):
        table("Meters", METERS, [_meter(found, place) for place in range(len(found.meters))])


def _left_out(found: OutageDetail) -> str:
    """Says how many meters are shown where there are more."""
    count = len(found.meters)
    if count >= found.total:
        return ""
    counts = {"count": grouped(count), "total": grouped(found.total)}
    return say("the first {count} of {total}, those without power before others", **counts)


def _meter(found: OutageDetail, place: int) -> list[Cell]:
    each = found.meters[place]
    return [
        lambda: link(each.meter, f"/meters/{each.meter}"),
        lambda: moment(each.lost_at, "date"),
        (lambda: moment(each.back_at, "date")) if each.back_at else MISSING,
        say(PROOFS[each.proof]) if each.proof in PROOFS else MISSING,
    ]


PLACES = [
    Place("/outages", "Outages", build, drawings.OUTAGES, group=WATCH, rank=55, key="t"),
    Place("/outages/{outage}", "Outage", build_one),
]
