"""Sums over meters in InfluxDB: the whole fleet, or those of an area or feeder.

Sums of the fleet over days that are over are kept (`influx_day_sums`), mostly made ahead by upkeep.
The others are added up here from the values, which the server gives in a seventh of the time that
it takes to add up growth itself; of days that are over these are kept when they were asked for
once. Of a day in which a range begins or ends only what is kept is used: it is not summed up for
that. They are asked for in portions of a few days, so that what was summed up is kept even where
the server does not get to the end in time.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import NamedTuple

from hesper_cloud.stores import curves
from hesper_cloud.stores.influx_columns import Alike, Columns
from hesper_cloud.stores.influx_day_sums import DAYS_AT_ONCE, DaySums, Kind, Step, Steps, Sum
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS
from hesper_cloud.stores.influx_ql import Range, field, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.port import FleetSeries
from hesper_cloud.stores.stepped_sums import DAY_S, StepTotals, growth

_LOOK_BACK_S = DAY_S
_THINNED_FROM_S = 3600  # it takes the server as long to find a step's last value as to give four
_ROWS_AT_ONCE = 50_000


class SumOf(NamedTuple):
    """What is summed: a quantity of a profile, over which meters (None: all), in which steps."""

    profile: str
    logical_name: str
    step_s: int
    meters: Sequence[str] | None = None


class Part(NamedTuple):
    """What is summed: levels or growth, of which layouts, in which unit."""

    of: SumOf
    growth: bool
    unit: int
    alike: Alike

    @property
    def kind(self) -> Kind:
        """The kind of sums that it belongs to."""
        return Kind(self.growth, self.of.profile)

    @property
    def sum(self) -> Sum:
        """What it is called where sums are kept."""
        return Sum(self.of.logical_name, self.unit, self.of.step_s)

    def rows(self, server: InfluxServer, span: Range) -> Iterable[Table]:
        """Yields the values that the steps of a range are summed up from, meter by meter.

        Of long steps that is each meter's last value, but for growth, which adds up all there are.
        """
        step_s = self.of.step_s
        if self.growth:
            return server.query(self._select((span[0] + 1, span[1] + 1), "meter"))
        if step_s < _THINNED_FROM_S:
            return server.query(self._select(span, "meter"))
        if span[0] // step_s == (span[1] - 1) // step_s:
            return self._last(server, span)
        by_step = f"time({step_s}s), meter fill(none)"
        return server.query(self._select(span, by_step, last=True))

    def before(self, server: InfluxServer, span: Range) -> dict[str, Table]:
        """Returns, by meter, the value that growth in a range begins with."""
        if not self.growth:
            return {}
        start = span[0] + 1
        found = self._last(server, (start - _LOOK_BACK_S, start))
        return {table.tags["meter"]: table for table in found}

    def _last(self, server: InfluxServer, span: Range) -> list[Table]:
        return server.query_at_once(self._select(span, "meter", last=True))

    def _select(self, span: Range, group_by: str, *, last: bool = False) -> str:
        value = field(self.of.logical_name)
        chosen = "" if self.of.meters is None else f"{of_meters(self.of.meters)} AND "
        layouts = " OR ".join(f"layout = {name}" for name in self.alike.factors)
        where = f"{chosen}profile = {quoted(self.of.profile)} AND ({layouts}) AND {within(span)}"
        return select(
            f"last({value}), layout" if last else f"{value}, layout", READINGS, where, group_by
        )


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
        part = Part(asked, growth, unit, Alike.of(sources))
        steps = sorted(self._of(part, span))
        times, totals, meters = map(list, zip(*steps, strict=True)) if steps else ([], [], [])
        return FleetSeries(times, totals, meters, part.alike.scaler, unit)

    def _of(self, part: Part, span: Range) -> Iterator[Step]:
        """Yields the steps of a range, in no order."""
        kept = self._days
        if kept is None or part.of.meters is not None or DAY_S % part.of.step_s:
            yield from self._ask(part, span)
            return
        found = kept.kept(part.kind, part.sum, kept.over(_in_days(span, part.of.step_s)))
        for scaler, steps in found.values():
            factor = 10 ** (scaler - part.alike.scaler)
            inside = (step for step in steps if span[0] <= step.at < span[1])
            yield from (step._replace(total=step.total * factor) for step in inside)
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
            steps = self._ask(part, (run.start * DAY_S, run.stop * DAY_S))
            by_day: dict[int, list[Step]] = {day: [] for day in run}
            for step in steps:
                by_day[step.at // DAY_S].append(step)
            sums = {day: {part.sum: Steps(part.alike.scaler, each)} for day, each in by_day.items()}
            kept.keep(work, sums)
        return steps

    def _ask(self, part: Part, span: Range) -> list[Step]:
        """Returns the steps of a range, as readings sum up to them."""
        totals = StepTotals(part.of.step_s)
        for columns in self._columns(part, span):
            rows = columns.rows(part.alike)
            if part.growth:
                totals.add_growth(growth(rows))
            else:
                totals.add_levels(rows)
        return [Step(*step) for _, *step in totals.sums()]

    def _columns(self, part: Part, span: Range) -> Iterator[Columns]:
        """Yields the rows of some meters after the other; growth begins with the one before."""
        before = part.before(self._server, span)
        columns = Columns()
        for meter, tables in groupby(part.rows(self._server, span), _meter):
            if columns.count >= _ROWS_AT_ONCE:
                yield columns
                columns = Columns()
            for table in chain([before[meter]] if meter in before else [], tables):
                columns.add(meter, *zip(*table.rows, strict=True))
        yield columns


def _meter(table: Table) -> str:
    return table.tags["meter"]


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
