"""The load profile of a meter: a curve with its gaps as bands, or the same as a table.

It shows the hours up to now, or one day of the calendar, which the address names: that of the
meters' zone, for what a home used on a Tuesday does not depend on where the operator sits.
"""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from nicegui import ui
from nicegui.events import GenericEventArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, box, marked, moment, panel, table
from hesper_ui.part import Part
from hesper_ui.services import Actor, GapRow, Series
from hesper_ui.views import charts, doubts, load_profile
from hesper_ui.views.load_profile import LoadProfile
from hesper_ui.views.wording import decimal, plural, scaled
from hesper_ui.words import current, later, say

REGISTER = "1.0.1.8.0.255"  # active energy import, the register every load profile carries
RANGES = {later("24 h"): 1, later("7 days"): 7, later("30 days"): 30}
MOST_POINTS = 3000
MOST_ROWS = 200
Row = tuple[int, list[Cell]]  # its moment in epoch seconds, its cells
COLUMNS = Columns(
    ("Interval ends", "Mean power, kW", "Note"), numbers=frozenset({1}), folding=False
)


_ADDRESS = """{
  const url = new URL(location.href), day = DAY;
  if (day) url.searchParams.set("day", day); else url.searchParams.delete("day");
  history.replaceState({ page: url.pathname + url.search }, "", url);
}"""


class Shown(NamedTuple):
    """What was asked of the services, and their answer."""

    span: str  # in words
    start: int
    end: int
    step_s: int | None
    series: Series
    gaps: Sequence[GapRow]
    as_table: bool


class LoadPanel:
    """The panel with its choices of range and form."""

    def __init__(self, desk: Desk, meter: str, period_s: int, day: date | None = None) -> None:
        self._desk = desk
        self._meter = meter
        self._period_s = period_s
        self._day = day
        self._range = "7 days"
        self._as_table = False
        self._choices: dict[str, ui.element] = {}
        with panel("Load profile", classes="load-profile") as tools:
            self._note = Text("", "p", "meta").style("margin: -8px 0 8px")
            self.part = Part(desk, self._load, self._draw)
        with tools:
            self._draw_choices()

    def _draw_choices(self) -> None:
        with box("div", "choices", role="group", aria_label=say("Range")):
            for name in RANGES:
                self._choice(name)
        self._draw_day()
        with box("div", "choices", role="group", aria_label=say("Form")):
            self._choice(later("Chart"))
            self._choice(later("Table"))
        self._press()

    def _draw_day(self) -> None:
        today, zone = self._desk.services.reports.today()
        self._zone = ZoneInfo(zone)
        chosen = self._day.isoformat() if self._day else ""
        self._field = box("input", "native day", type="date", value=chosen, max=today.isoformat())
        self._field.props["aria-label"] = say("Day")
        self._field.mark("load-day").on(
            "change", self._choose_day, js_handler="(event) => emit(event.target.value)"
        )

    async def _choose_day(self, event: GenericEventArguments) -> None:
        await self._show_day(load_profile.day_of(str(event.args or "")))

    async def _show_day(self, day: date | None) -> None:
        self._day = day
        written = day.isoformat() if day else ""
        self._field.props["value"] = written
        self._field.update()
        ui.run_javascript(_ADDRESS.replace("DAY", json.dumps(written)))
        self._press()
        await self.part.refresh()

    def _choice(self, name: str) -> None:
        async def choose() -> None:
            if name in RANGES:
                self._range = name
                await self._show_day(None)
                return
            self._as_table = name == "Table"
            self._press()
            await self.part.refresh()

        self._choices[name] = Text(say(name), "button", "choice", type="button").on(
            "click", choose, args=[]
        )

    def _press(self) -> None:
        chosen = {"" if self._day else self._range, "Table" if self._as_table else "Chart"}
        for name, element in self._choices.items():
            element.props["aria-pressed"] = "true" if name in chosen else "false"
            element.update()

    async def _load(self, actor: Actor) -> Shown:
        span, (start, end) = self._span()
        step = _step(end - start, self._period_s)
        meters = self._desk.services.meters
        window = (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end + 1, UTC))
        series = await meters.series(actor, self._meter, REGISTER, *window, step)
        gaps = await meters.gaps(actor, self._meter, *window)
        return Shown(span, start, end, step, series, gaps, self._as_table)

    def _span(self) -> tuple[str, tuple[int, int]]:
        """Returns what is shown, in words and in epoch seconds."""
        if self._day is not None:
            locale = Locale.parse(current().tag, sep="-")
            words = format_date(self._day, "full", locale)
            return words, load_profile.window_of(self._day, self._zone)
        end = int(datetime.now(UTC).timestamp()) // self._period_s * self._period_s
        return say(self._range), (end - RANGES[self._range] * 86_400, end)

    def _draw(self, shown: Shown) -> None:
        window, step_s = (shown.start, shown.end), shown.step_s or self._period_s
        profile = load_profile.build(shown.series, shown.gaps, window, step_s, self._period_s)
        stored = any(kw is not None for _, kw in profile.points)
        missing = say("complete") if stored else say("nothing stored")
        if profile.bands:
            missing = say("{count} missing", count=plural(profile.missing, "interval"))
        rows = _rows(profile) if shown.as_table else []
        note = [say("Mean power per {period}, kW", period=_period(step_s)), shown.span, missing]
        self._note.text = " · ".join([*note, *_left_out(rows)])
        if shown.step_s is None:
            self._used(shown)
        archived = shown.series.archived_before
        if archived is not None:
            _archived(archived)
        if not stored and not profile.bands and archived is None:
            text = later(
                "The profile is drawn from two stored captures on; the gateway reads it by itself."
            )
            states.empty("No load profile yet", text)
        elif shown.as_table:
            table("Load profile", COLUMNS, [cells for _, cells in rows[:MOST_ROWS]])
        elif stored or profile.bands:
            said = say(
                "Load profile of {meter} over {range}; {missing}.",
                meter=self._meter,
                range=shown.span,
                missing=missing,
            )
            ui.echart(charts.load_profile(profile, said), renderer="svg")
            if profile.bands:
                with box("p", "meta marked"):
                    box("span", "swatch-missing", aria_hidden="true")
                    Text(say("missing; fills by itself once the meter can be read again"))

    def _used(self, shown: Shown) -> None:
        """Says how much was used in what is shown, and between which captures that was counted."""
        found = load_profile.used(shown.series, (shown.start, shown.end))
        if found is None:
            return
        with box("p", "used"):
            Text(say("{amount} kWh", amount=scaled(found.amount, found.scaler - 3)), "strong")
            Text(say("used, {span}", span=shown.span))
            if (found.first, found.last) == (shown.start, shown.end):
                if self._day is not None:
                    Text(say("00:00 to 24:00 in {zone}", zone=self._zone.key), classes="meta")
                return
            with box("span", "meta"):
                Text(say("counted only from") + " ")
                moment(datetime.fromtimestamp(found.first, UTC), "date")
                Text(" " + say("to") + " ")
                moment(datetime.fromtimestamp(found.last, UTC), "date")


def _step(length: int, period_s: int) -> int | None:
    """Returns how far to thin out so that a chart stays readable and light."""
    if length // period_s <= MOST_POINTS:
        return None
    return -(-length // MOST_POINTS // period_s) * period_s


def _archived(before: datetime) -> None:
    locale = Locale.parse(current().tag, sep="-")
    day = format_date(before.date(), "long", locale)
    Text(say("Readings before {day} are in the archive and not shown here.", day=day), "p", "meta")


def _period(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def _rows(profile: LoadProfile) -> list[Row]:
    """Returns the intervals of the table, the newest first; a gap is one row."""
    rows: list[Row] = [
        (at, [_moment(at), decimal(kw, 3), ""]) for at, kw in profile.points if kw is not None
    ]
    for band in profile.bands:
        many = plural(band.count, "interval")
        cause = say("{intervals} missing: {why}", intervals=many, why=doubts.cause(band.cause))
        rows.append((band.end, [_moment(band.end), "–", _missing(cause)]))
    return sorted(rows, key=lambda row: -row[0])


def _left_out(rows: Sequence[Row]) -> list[str]:
    """Says how many rows are shown where there are more."""
    if len(rows) <= MOST_ROWS:
        return []
    return [say("the newest {count} of {rows}", count=MOST_ROWS, rows=plural(len(rows), "row"))]


def _moment(at: int) -> Cell:
    return lambda: moment(datetime.fromtimestamp(at, UTC), "date")


def _missing(cause: str) -> Cell:
    return lambda: marked("offline", cause)
