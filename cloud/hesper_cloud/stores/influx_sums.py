"""Sums over meters in InfluxDB: the whole fleet, or those of an area or feeder.

Sums of the fleet over days that are over are kept (`influx_day_sums`), mostly made ahead by upkeep.
The server adds up the others; of days that are over these are kept when they were asked for once.
Of a day in which a range begins or ends only what is kept is used: it is not summed up for that.
They are asked for in portions of a few days, so that what was summed up is kept even where the
server does not get to the end in time.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hesper_cloud.stores import curves
from hesper_cloud.stores.influx_day_sums import DAYS_AT_ONCE, DaySums, Kind, Step, Sum
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS
from hesper_cloud.stores.influx_ql import Range, field, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import FleetSeries
from hesper_cloud.stores.stepped_sums import DAY_S

_LOOK_BACK_S = DAY_S


class SumOf(NamedTuple):
    """What is summed: a quantity of a profile, over which meters (None: all), in which steps."""

    profile: str
    logical_name: str
    step_s: int
    meters: Sequence[str] | None = None


class Part(NamedTuple):
    """What is summed, of one layout: levels or growth."""

    of: SumOf
    layout: int
    growth: bool

    @property
    def kind(self) -> Kind:
        """The kind of sums that it belongs to."""
        return Kind(self.growth, self.of.profile)

    @property
    def sum(self) -> Sum:
        """What it is called where sums are kept."""
        return Sum(self.layout, self.of.logical_name, self.of.step_s)

    def query(self, span: Range) -> str:
        """Returns the SELECT of time, sum and count of the steps of a range."""
        return self._growth(span) if self.growth else self._levels(span)

    def _levels(self, span: Range) -> str:
        step = f"time({self.of.step_s}s)"
        last = f"last({field(self.of.logical_name)}) AS part"
        parts = select(last, READINGS, self._where(span), f"{step}, meter")
        return select("sum(part), count(part)", f"({parts})", within(span), step)

    def _growth(self, span: Range) -> str:
        seen = (span[0] + 1 - _LOOK_BACK_S, span[1] + 1)
        step = f"time({self.of.step_s}s, 1s)"
        difference = f"non_negative_difference({field(self.of.logical_name)}) AS growth"
        growth = select(difference, READINGS, self._where(seen), "meter")
        parts = select("sum(growth) AS part", f"({growth})", within(seen), f"{step}, meter")
        return select("sum(part), count(part)", f"({parts})", within(seen), step)

    def _where(self, span: Range) -> str:
        chosen = "" if self.of.meters is None else f"{of_meters(self.of.meters)} AND "
        profile = f"profile = {quoted(self.of.profile)}"
        return f"{chosen}{profile} AND layout = {self.layout} AND {within(span)}"


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
            part = Part(asked, layout, growth)
            for at, value, meters in self._of(part, span):
                before = steps.get(at, (0, 0))
                steps[at] = (before[0] + value * factor, before[1] + meters)
        times = sorted(steps)
        totals, counts = [steps[at][0] for at in times], [steps[at][1] for at in times]
        return FleetSeries(times, totals, counts, scaler, unit)

    def _of(self, part: Part, span: Range) -> Iterator[Step]:
        """Yields the steps of one layout, in no order."""
        kept = self._days
        if kept is None or part.of.meters is not None or DAY_S % part.of.step_s:
            yield from self._ask(part, span)
            return
        found = kept.kept(part.kind, part.sum, kept.over(_in_days(span, part.of.step_s)))
        for steps in found.values():
            yield from (step for step in steps if span[0] <= step[0] < span[1])
        whole = kept.over(span)
        for run in _runs([day for day in whole if day not in found]):
            yield from self._made(kept, part, run)
        days = sorted({*whole, *found})
        first, end = (days[0] * DAY_S, (days[-1] + 1) * DAY_S) if days else (span[0], span[0])
        for rest in ((span[0], first), (end, span[1])):
            if rest[0] < rest[1]:
                yield from self._ask(part, rest)

    def _made(self, kept: DaySums, part: Part, run: range) -> list[Step]:
        """Sums up days, and keeps that."""
        with kept.summing(part.kind) as work:
            steps = list(self._ask(part, (run.start * DAY_S, run.stop * DAY_S)))
            by_day: dict[int, list[Step]] = {day: [] for day in run}
            for step in steps:
                by_day[step[0] // DAY_S].append(step)
            kept.keep(work, {day: {part.sum: found} for day, found in by_day.items()})
        return steps

    def _ask(self, part: Part, span: Range) -> Iterator[Step]:
        """Yields the steps that begin in a range, as the server sums them up."""
        for table in self._server.query(part.query(span)):
            for began, value, meters in table.rows:
                at = began - part.growth  # steps of growth begin a second late
                if meters and at >= span[0]:
                    yield at, value, meters


def _in_days(span: Range, step_s: int) -> Range:
    """Returns a range with the days in which it begins and ends, where a step does so, too."""
    start, end = span
    return (
        start if start % step_s else start - start % DAY_S,
        end if end % step_s else end + -end % DAY_S,
    )


def _runs(days: Sequence[int]) -> Iterator[range]:
    """Yields ascending days, those that follow each other as ranges of a few days."""
    run = range(0)
    for day in days:
        if day == run.stop and 0 < len(run) < DAYS_AT_ONCE:
            run = range(run.start, day + 1)
            continue
        if run:
            yield run
        run = range(day, day + 1)
    if run:
        yield run
