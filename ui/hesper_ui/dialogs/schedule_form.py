"""Reports that are made by themselves: the form of one schedule, and its end."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs.sheet import choice, entry, sheet
from hesper_ui.elements import Text, box
from hesper_ui.services import Every, Invalid, ScheduleRow, ScheduleWish
from hesper_ui.views import longer
from hesper_ui.words import later, say

Done = Callable[[], Awaitable[None]]
NOBODY = ""
_ON, _RESTS = "on", "rests"
_STATES = {_ON: later("Is made when it is due"), _RESTS: later("Rests")}
_IN_COLUMNS = (
    "display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr))"
)


@dataclass(frozen=True, slots=True)
class Offered:
    """What a form may offer: kinds of report, mail targets (None: not to be seen), a zone."""

    kinds: Mapping[str, str]
    targets: Sequence[str] | None
    zone: str


def open_form(
    desk: Desk, row: ScheduleRow | None, offered: Offered, host: ui.element, done: Done
) -> None:
    """Opens the form of a new schedule, or of one that is there."""
    before = row.wish() if row else ScheduleWish("", "", "day", 6 * 60, offered.zone)
    title = say("Change {name}", name=row.name) if row else later("New schedule of a report")
    with sheet(host, title) as page:
        with box("div").style(_IN_COLUMNS):
            lines = _lines(before, offered, new=row is None)

        async def send() -> None:
            wish = _said(lines, before)
            reports, actor = desk.services.reports, await desk.actor()
            if row is None:
                await reports.add_schedule(actor, wish)
            else:
                await reports.change_schedule(actor, row.id, wish, row.version)
            await done()

        page.buttons("Not now", "Keep" if row is None else "Change", "primary", send)


def _lines(before: ScheduleWish, offered: Offered, *, new: bool) -> dict[str, ui.input | ui.select]:
    kinds = dict(offered.kinds)
    lines: dict[str, ui.input | ui.select] = {
        "name": entry("Name, like monthly billing (required)", _nothing, value=before.name),
        "kind": choice("Report", list(kinds), _nothing, kinds, before.kind or next(iter(kinds))),
        "every": choice("How often", list(longer.EVERY), _nothing, longer.EVERY, str(before.every)),
        "at": entry("At, like 06:00", _nothing, value=longer.clock(before.at_minute)),
        "zone": entry("Time zone", _nothing, value=before.zone),
        "area": entry("Area (empty: all)", _nothing, value=before.area or ""),
    }
    if offered.targets is not None:
        names = dict.fromkeys([NOBODY, *offered.targets, *filter(None, [before.target])])
        words = {NOBODY: later("nobody")}
        lines["target"] = choice("Mailed to", list(names), _nothing, words, before.target or NOBODY)
    if not new:
        state = _ON if before.enabled else _RESTS
        lines["state"] = choice("State", list(_STATES), _nothing, _STATES, state)
    for name, line in lines.items():
        line.mark(f"schedule-{name}")
    return lines


def _nothing() -> None:
    """The form is checked when it is sent."""


def _said(lines: Mapping[str, ui.input | ui.select], before: ScheduleWish) -> ScheduleWish:
    """Returns what the form says; what it does not offer stays as it was.

    Raises:
        Invalid: it has no name, or its hour is none.
    """
    said = {name: str(line.value or "").strip() for name, line in lines.items()}
    if not said["name"]:
        raise Invalid(say("A schedule has a name."))
    at_minute = longer.minute(said["at"])
    if at_minute is None:
        raise Invalid(say("Write the time of day like 06:00."))
    return ScheduleWish(
        name=said["name"],
        kind=said["kind"],
        every=cast("Every", said["every"]),
        at_minute=at_minute,
        zone=said["zone"],
        area=said["area"] or None,
        target=(said["target"] or None) if "target" in said else before.target,
        enabled=said.get("state", _ON) == _ON,
    )


def open_removal(desk: Desk, row: ScheduleRow, host: ui.element, done: Done) -> None:
    """Asks whether a schedule is to end."""
    with sheet(host, say("Remove {name}?", name=row.name)) as page:
        Text(say("It is not made any more. The reports that it made stay."), "p")

        async def send() -> None:
            await desk.services.reports.remove_schedule(await desk.actor(), row.id)
            await done()

        page.buttons("Keep it", "Remove", "danger", send)
