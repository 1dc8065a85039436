"""Sums over meters in InfluxDB: the whole fleet, or those of an area or feeder.

The server adds up. Sums of the fleet over days that are over are kept when they were asked for once
(`influx_day_sums`); they are asked for in portions of a few days, so that what was summed up is
kept even where the server does not get to the end in time.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hesper_cloud.stores import curves
from hesper_cloud.stores.influx_day_sums import DAY_S, DaySums, Kind, Step
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS
from hesper_cloud.stores.influx_ql import Range, field, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import FleetSeries

_LOOK_BACK_S = DAY_S
_DAYS_AT_ONCE = 7


class SumOf(NamedTuple):
    """What is summed: a quantity of a profile, over which meters (None: all), in which steps."""

    profile: str
    logical_name: str
    step_s: int
    meters: Sequence[str] | None = None

    def where(self, layout: int, span: Range) -> str:
        """Returns the condition for its points."""
        chosen = "" if self.meters is None else f"{of_meters(self.meters)} AND "
        return f"{chosen}profile = {quoted(self.profile)} AND layout = {layout} AND {within(span)}"


class Sums:
    """Sums over meters; with `days` those of days that are over are kept."""

    def __init__(self, server: InfluxServer, layouts: Layouts, days: DaySums | None) -> None:
        self._server = server
        self._layouts = layouts
        self._days = days

    def levels(self, asked: SumOf, span: Range) -> FleetSeries:
        """Sums each meter's last value in each step."""
        return self._summed(asked, span, growth=False)

    def growth(self, asked: SumOf, span: Range) -> FleetSeries:
        """Sums growth between captures; a capture at a step's end belongs to that step."""
        return self._summed(asked, span, growth=True)

    def _summed(self, asked: SumOf, span: Range, *, growth: bool) -> FleetSeries:
        sources = curves.summed_together(self._layouts.having(asked.logical_name))
        if not sources or asked.meters == []:
            return FleetSeries([], [], [], 0, 0)
        unit = next(iter(sources.values())).unit
        scaler = min(quantity.scaler for quantity in sources.values())
        steps: dict[int, tuple[int, int]] = {}
        for layout, quantity in sources.items():
            factor = 10 ** (quantity.scaler - scaler)
            kind = Kind(growth, asked.profile, asked.logical_name, asked.step_s, layout)
            for at, value, meters in self._of(asked, kind, span):
                before = steps.get(at, (0, 0))
                steps[at] = (before[0] + value * factor, before[1] + meters)
        times = sorted(steps)
        totals, counts = [steps[at][0] for at in times], [steps[at][1] for at in times]
        return FleetSeries(times, totals, counts, scaler, unit)

    def _of(self, asked: SumOf, kind: Kind, span: Range) -> Iterator[Step]:
        """Yields the steps of one layout, in no order."""
        kept = self._days
        if kept is None or asked.meters is not None or DAY_S % asked.step_s:
            yield from self._ask(asked, kind, span)
            return
        days = kept.over(span)
        found = kept.kept(kind, days)
        for steps in found.values():
            yield from steps
        for run in _runs([day for day in days if day not in found]):
            yield from self._made(kept, asked, kind, run)
        first, end = (days.start * DAY_S, days.stop * DAY_S) if days else (span[0], span[0])
        for rest in ((span[0], first), (end, span[1])):
            if rest[0] < rest[1]:
                yield from self._ask(asked, kind, rest)

    def _made(self, kept: DaySums, asked: SumOf, kind: Kind, run: range) -> list[Step]:
        """Sums up days, and keeps that."""
        with kept.summing(kind) as work:
            steps = list(self._ask(asked, kind, (run.start * DAY_S, run.stop * DAY_S)))
            by_day: dict[int, list[Step]] = {day: [] for day in run}
            for step in steps:
                by_day[step[0] // DAY_S].append(step)
            kept.keep(work, by_day)
        return steps

    def _ask(self, asked: SumOf, kind: Kind, span: Range) -> Iterator[Step]:
        """Yields the steps that begin in a range, as the server sums them up."""
        query = _growth(asked, kind, span) if kind.growth else _levels(asked, kind, span)
        for table in self._server.query(query):
            for began, value, meters in table.rows:
                at = began - kind.growth  # steps of growth begin a second late
                if meters and at >= span[0]:
                    yield at, value, meters


def _levels(asked: SumOf, kind: Kind, span: Range) -> str:
    where = asked.where(kind.layout, span)
    step = f"time({asked.step_s}s)"
    last = select(f"last({field(asked.logical_name)}) AS part", READINGS, where, f"{step}, meter")
    return select("sum(part), count(part)", f"({last})", within(span), step)


def _growth(asked: SumOf, kind: Kind, span: Range) -> str:
    seen = (span[0] + 1 - _LOOK_BACK_S, span[1] + 1)
    step = f"time({asked.step_s}s, 1s)"
    difference = f"non_negative_difference({field(asked.logical_name)}) AS growth"
    growth = select(difference, READINGS, asked.where(kind.layout, seen), "meter")
    parts = select("sum(growth) AS part", f"({growth})", within(seen), f"{step}, meter")
    return select("sum(part), count(part)", f"({parts})", within(seen), step)


def _runs(days: Sequence[int]) -> Iterator[range]:
    """Yields ascending days, those that follow each other as ranges of a few days."""
    run = range(0)
    for day in days:
        if day == run.stop and 0 < len(run) < _DAYS_AT_ONCE:
            run = range(run.start, day + 1)
            continue
        if run:
            yield run
        run = range(day, day + 1)
    if run:
        yield run
