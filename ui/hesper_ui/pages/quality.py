"""Readings quality: which meters' days are worst, what failed at one meter, and edits by people."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import edit_reading
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
from hesper_ui.part import Part, look_every
from hesper_ui.places import QUALITY, Place
from hesper_ui.services import Actor, DayQuality, EditRow, FailedCheck, Permission
from hesper_ui.views import quality
from hesper_ui.views.load_profile import day_of
from hesper_ui.views.wording import MISSING, grouped, plural
from hesper_ui.words import say

MOST = 100
DAYS = 14
WORST = Columns(
    ("Meter", "Score", "Due", "Stored", "Doubted", "Estimated", "Edited"),
    numbers=frozenset({1, 2, 3, 4, 5, 6}),
)
BY_DAY = Columns(
    ("Day", "Score", "Due", "Stored", "Doubted", "Estimated", "Edited"),
    numbers=frozenset({1, 2, 3, 4, 5, 6}),
)
CHECKS = Columns(("Check", "Register", "From", "To", "Captures"), numbers=frozenset({4}))
EDITS = Columns(
    ("Capture", "Value", "How", "By", "Reason", "Made", "Action"), numbers=frozenset({1})
)


async def build(desk: Desk, _actor: Actor, args: PageArguments) -> None:
    """Builds the list of the worst meters of a day, yesterday if none is asked for."""
    today, _ = desk.services.reports.today()
    day = day_of(args.query_parameters.get("day", "")) or today - timedelta(days=1)
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Readings quality"), "h1", tabindex="-1")
        words = "Days are validated as they fill; a score of 100 means that nothing is doubtful."
        Text(say(words), "p", "meta")
    with box("nav", "chips", aria_label=say("Days")):
        for back in range(7):
            each = today - timedelta(days=back)
            here = "true" if each == day else None
            address = f"/quality?day={each.isoformat()}"
            Text(each.isoformat(), "a", "chip", href=address, aria_current=here)

    async def load(asking: Actor) -> Sequence[DayQuality]:
        return await desk.services.validated.worst(asking, day, MOST)

    part = Part(desk, load, _draw_worst)
    await part.show()
    look_every(30.0, part.refresh)


def _draw_worst(rows: Sequence[DayQuality]) -> None:
    with panel("Worst first", plural(len(rows), "meter")):
        if not rows:
            states.empty(
                "Nothing is validated for this day",
                "Scores appear once a day's readings are stored and its jobs have run.",
            )
            return
        table("Worst first", WORST, [_scored(row, row.meter) for row in rows])


def _scored(row: DayQuality, first: str) -> list[Cell]:
    def named() -> None:
        if first == row.meter:
            link(first, f"/quality/{first}")
        else:
            Text(first)

    counts = (row.expected, row.stored, row.doubted, row.estimated, row.edited)
    return [
        named,
        lambda: marked(*quality.score(row)),
        *(grouped(count) for count in counts),
    ]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is known of one meter's readings over the last days."""

    days: Sequence[DayQuality]
    checks: Sequence[FailedCheck]
    edits: Sequence[EditRow]


async def build_meter(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the quality of one meter: its days, the checks that failed, and its edits."""
    meter = args.path_parameters["meter"]
    await desk.services.meters.row(actor, meter)
    host = box("div", "contents")

    async def load(asking: Actor) -> Shown:
        now, service = datetime.now(UTC), desk.services.validated
        start = now - timedelta(days=DAYS)
        return Shown(
            await service.quality(asking, meter, start.date(), now.date()),
            await service.failed_checks(asking, meter, start, now),
            await service.edits(asking, meter, start, now),
        )

    may = actor.may(Permission.EDIT_READINGS)
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Readings of {meter}", meter=meter), "h1", tabindex="-1")
            link(say("to the meter"), f"/meters/{meter}", "meta")
        if may:
            button(
                "Edit a value…",
                lambda: edit_reading.open_dialog(desk, meter, host, part.refresh),
                acts=True,
            )
    part = Part(desk, load, lambda shown: _draw_meter(desk, shown, may, host, part.refresh))
    await part.show()
    look_every(30.0, part.refresh)


def _draw_meter(
    desk: Desk, shown: Shown, may: bool, host: ui.element, done: Callable[[], Awaitable[None]]
) -> None:
    with box("div", "stack"):
        with panel("Failed checks", plural(len(shown.checks), "run")):
            if shown.checks:
                table("Failed checks", CHECKS, [_failed(each) for each in shown.checks])
            else:
                states.empty("No check failed", "All readings of these days are plausible.")
        with panel("Edits and estimates", plural(len(shown.edits), "value")):
            if shown.edits:
                rows = [_edited(desk, each, may, host, done) for each in shown.edits]
                table("Edits and estimates", EDITS, rows)
            else:
                states.empty("Nothing was replaced", "What the meter said is what counts.")
        with panel("By day"):
            if shown.days:
                newest = sorted(shown.days, key=lambda row: row.day, reverse=True)
                table("By day", BY_DAY, [_scored(row, row.day.isoformat()) for row in newest])
            else:
                states.empty("Nothing is validated yet", "Scores appear once a day is complete.")


def _failed(each: FailedCheck) -> list[Cell]:
    return [
        quality.check(each.check),
        lambda: Text(each.logical_name, classes="meta"),
        lambda: moment(datetime.fromtimestamp(each.from_at, UTC), "date"),
        lambda: moment(datetime.fromtimestamp(each.to_at, UTC), "date"),
        grouped(each.captures),
    ]


def _edited(
    desk: Desk,
    row: EditRow,
    may: bool,
    host: ui.element,
    done: Callable[[], Awaitable[None]],
) -> list[Cell]:
    def act() -> None:
        if may and row.method == "edit" and row.withdrawn_at is None:
            button(
                "Take back…",
                lambda: edit_reading.withdraw(desk, row, host, done),
                "small",
                acts=True,
            )

    return [
        lambda: moment(row.captured_at, "date"),
        quality.value(row),
        quality.method(row),
        row.made_by or MISSING,
        row.reason or MISSING,
        lambda: ago(row.made_at),
        act,
    ]


PLACES = [
    Place("/quality", "Readings quality", build, drawings.RIDDLE, group=QUALITY, rank=20, key="q"),
    Place("/quality/{meter}", "Readings quality", build_meter),
]
