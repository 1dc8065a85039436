"""Service levels: what was promised, what was reached, and who missed it and why."""

from collections.abc import Sequence
from itertools import groupby
from urllib.parse import urlencode

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    ago,
    box,
    grouped_table,
    link,
    marked,
    panel,
    table,
)
from hesper_ui.part import Part, look_every
from hesper_ui.places import QUALITY, Place
from hesper_ui.services import Actor, LevelDay, Miss
from hesper_ui.views import doubts
from hesper_ui.views.load_profile import day_of
from hesper_ui.views.looks import level_state
from hesper_ui.views.wording import MISSING, grouped, percent, plural
from hesper_ui.words import say

COLUMNS = Columns(
    ("Day", "Reached", "Target", "Due", "In time", "State", "Counted"),
    numbers=frozenset({1, 2, 3, 4}),
    wide_only=frozenset({6}),
)
MISSES = Columns(("Meter", "Gateway", "Due", "In time", "Cause", "Hop"), numbers=frozenset({2, 3}))
MOST_MISSES = 500


async def build(desk: Desk, _actor: Actor, _: PageArguments) -> None:
    """Builds the days of every level, newest first; a day leads to who missed it."""
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Service levels"), "h1", tabindex="-1")
        Text(
            say("What was due by its deadline, of the last week; counted all the time."),
            "p",
            "meta",
        )

    async def load(asking: Actor) -> Sequence[LevelDay]:
        return await desk.services.service_levels.days(asking, None, None, None)

    part = Part(desk, load, _draw)
    await part.show()
    look_every(30.0, part.refresh)


async def build_day(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list of the meters that missed a level on a day."""
    level, today = args.path_parameters["level"], desk.services.service_levels.today()
    day = day_of(args.query_parameters.get("day", "")) or today
    misses = await desk.services.service_levels.misses(actor, level, day)
    with box("div", "page-head"), box("div", "titles"):
        Text(level, "h1", tabindex="-1")
        Text(
            say(
                "{misses} missed it on {day}.",
                misses=plural(len(misses), "meter"),
                day=day.isoformat(),
            ),
            "p",
            "meta",
        )
    link(say("All service levels"), "/service-levels")
    if not misses:
        with box("section", "panel", aria_label=say("Misses")):
            if day < today:
                states.empty("Nobody missed it", "All that was due was stored in time.")
            else:
                states.empty("Nobody has missed it yet", "This day is not over.")
        return
    with panel(
        "Worst first",
        (say("the first {count}", count=MOST_MISSES) if len(misses) > MOST_MISSES else ""),
    ):
        table("Misses", MISSES, [_miss(each) for each in misses[:MOST_MISSES]])


def _draw(rows: Sequence[LevelDay]) -> None:
    if not rows:
        with box("section", "panel", aria_label=say("Service levels")):
            states.empty(
                "Nothing counted yet", "Figures appear once captures are due and levels are set."
            )
        return
    by_level = groupby(sorted(rows, key=lambda row: row.level), key=lambda row: row.level)
    groups = [(level, "", [_cells(row) for row in days]) for level, days in by_level]
    with panel("By level and day"):
        grouped_table("Service levels", COLUMNS, groups)


def _cells(row: LevelDay) -> list[Cell]:
    def day() -> None:
        if row.kind == "messages":  # these are not counted by meter
            Text(row.day.isoformat())
        else:
            asked = urlencode({"day": row.day.isoformat()})
            link(row.day.isoformat(), f"/service-levels/{row.level}?{asked}")

    return [
        day,
        MISSING if row.percent is None else f"{percent(row.percent)} %",
        f"{percent(row.target_percent)} %",
        grouped(row.due),
        grouped(row.met),
        lambda: marked(*level_state(row)),
        lambda: ago(row.computed_at),
    ]


def _miss(each: Miss) -> list[Cell]:
    return [
        lambda: link(each.meter, f"/meters/{each.meter}"),
        each.gateway or MISSING,
        grouped(each.due),
        grouped(each.met),
        doubts.cause(each.cause),
        each.hop or MISSING,
    ]


PLACES = [
    Place(
        "/service-levels", "Service levels", build, drawings.LEVELS, group=QUALITY, rank=30, key="s"
    ),
    Place("/service-levels/{level}", "Service level", build_day),
]
