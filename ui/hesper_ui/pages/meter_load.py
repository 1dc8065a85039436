"""The load profile of a meter: a curve with its gaps as bands, or the same as a table."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from nicegui import ui

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, box, marked, moment, panel, table
from hesper_ui.part import Part
from hesper_ui.services import Actor, GapRow, Series
from hesper_ui.views import charts, doubts, load_profile
from hesper_ui.views.load_profile import LoadProfile
from hesper_ui.views.wording import decimal, plural
from hesper_ui.words import later, say

REGISTER = "1.0.1.8.0.255"  # active energy import, the register every load profile carries
RANGES = {later("24 h"): 1, later("7 days"): 7, later("30 days"): 30}
MOST_POINTS = 3000
MOST_ROWS = 200
COLUMNS = Columns(
    ("Interval ends", "Mean power, kW", "Note"), numbers=frozenset({1}), folding=False
)


class Shown(NamedTuple):
    """What was asked of the services, and their answer."""

    start: int
    end: int
    period_s: int
    series: Series
    gaps: Sequence[GapRow]
    as_table: bool


class LoadPanel:
    """The panel with its choices of range and form."""

    def __init__(self, desk: Desk, meter: str, period_s: int) -> None:
        self._desk = desk
        self._meter = meter
        self._period_s = period_s
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
        with box("div", "choices", role="group", aria_label=say("Form")):
            self._choice(later("Chart"))
            self._choice(later("Table"))
        self._press()

    def _choice(self, name: str) -> None:
        async def choose() -> None:
            if name in RANGES:
                self._range = name
            else:
                self._as_table = name == "Table"
            self._press()
            await self.part.refresh()

        self._choices[name] = Text(say(name), "button", "choice", type="button").on(
            "click", choose, args=[]
        )

    def _press(self) -> None:
        chosen = {self._range, "Table" if self._as_table else "Chart"}
        for name, element in self._choices.items():
            element.props["aria-pressed"] = "true" if name in chosen else "false"
            element.update()

    async def _load(self, actor: Actor) -> Shown:
        now = datetime.now(UTC)
        end = int(now.timestamp()) // self._period_s * self._period_s
        length = RANGES[self._range] * 86_400
        start = end - length
        step = _step(length, self._period_s)
        meters = self._desk.services.meters
        window = (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end + 1, UTC))
        series = await meters.series(actor, self._meter, REGISTER, *window, step)
        gaps = await meters.gaps(actor, self._meter, *window)
        return Shown(start, end, step or self._period_s, series, gaps, self._as_table)

    def _draw(self, shown: Shown) -> None:
        profile = load_profile.build(
            shown.series, shown.gaps, (shown.start, shown.end), shown.period_s, self._period_s
        )
        stored = any(kw is not None for _, kw in profile.points)
        missing = say("complete") if stored else say("nothing stored")
        if profile.bands:
            missing = say("{count} missing", count=plural(profile.missing, "interval"))
        self._note.text = (
            say("Mean power per {period}, kW", period=_period(shown.period_s))
            + f" · {say(self._range)} · {missing}"
        )
        if not stored and not profile.bands:
            text = later(
                "The profile is drawn from two stored captures on; the gateway reads it by itself."
            )
            states.empty("No load profile yet", text)
        elif shown.as_table:
            _table(profile)
        else:
            said = say(
                "Load profile of {meter} over {range}; {missing}.",
                meter=self._meter,
                range=say(self._range),
                missing=missing,
            )
            ui.echart(charts.load_profile(profile, said), renderer="svg")
            if profile.bands:
                with box("p", "meta marked"):
                    box("span", "swatch-missing", aria_hidden="true")
                    Text(say("missing; fills by itself once the meter can be read again"))


def _step(length: int, period_s: int) -> int | None:
    """Returns how far to thin out so that a chart stays readable and light."""
    if length // period_s <= MOST_POINTS:
        return None
    return -(-length // MOST_POINTS // period_s) * period_s


def _period(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def _table(profile: LoadProfile) -> None:
    rows: list[tuple[int, list[Cell]]] = [
        (at, [_moment(at), decimal(kw, 3), ""])
        for at, kw in profile.points[-MOST_ROWS:]
        if kw is not None
    ]
    for band in profile.bands:
        cause = f"{plural(band.count, 'interval')} missing: {doubts.cause(band.cause)}"
        rows.append((band.end, [_moment(band.end), "–", _missing(cause)]))
    rows.sort(key=lambda row: -row[0])
    table("Load profile", COLUMNS, [cells for _, cells in rows[:MOST_ROWS]])


def _moment(at: int) -> Cell:
    return lambda: moment(datetime.fromtimestamp(at, UTC), "date")


def _missing(cause: str) -> Cell:
    return lambda: marked("offline", cause)
