"""One quantity of one meter, from InfluxDB: days that are packed, and readings of the others."""

from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from hesper_cloud.stores import curves, influx_packed
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import PACKED, READINGS
from hesper_cloud.stores.influx_packed import DAY_S, NO_ROWS, Curve
from hesper_cloud.stores.influx_packing import PackedDays
from hesper_cloud.stores.influx_ql import Range, field, of_meter, select
from hesper_cloud.stores.influx_reads import in_order
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Quantity, Series

_DAYS_AT_LEAST = 4  # fewer are as quickly read as they are
_RUNS_AT_MOST = 10


class CurveOf(NamedTuple):
    """Which curve."""

    meter: str
    profile: str
    logical_name: str

    def query(self, fields: str, source: str, span: Range, group_by: str = "") -> str:
        """Returns the SELECT of the quantity's field and others."""
        where = of_meter(self.meter, self.profile, span)
        return select(f"{field(self.logical_name)}, {fields}", source, where, group_by)


class Curves:
    """Reads curves; with `days` those of days that are over are mostly packed."""

    def __init__(self, server: InfluxServer, layouts: Layouts, days: PackedDays | None) -> None:
        self._server = server
        self._layouts = layouts
        self._days = days

    def series(self, asked: CurveOf, span: Range, step_s: int | None) -> Series:
        """Returns a curve; with ``step_s`` the last value of each step."""
        sources = self._layouts.having(asked.logical_name)
        if not sources:
            return curves.joined([], step_s)
        found = self._packed(asked, span, sources)
        missing = list(_besides(found, span))
        if len(missing) > _RUNS_AT_MOST:
            found, missing = {}, [span]
        parts = {day * DAY_S: curve for day, curve in found.items()}
        parts |= {run[0]: self._as_read(asked, run) for run in missing}
        columns = zip(NO_ROWS, *(parts[start] for start in sorted(parts)), strict=True)
        curve = Curve(*(list(chain.from_iterable(column)) for column in columns))
        return _series(curve, sources, step_s)

    def _packed(
        self, asked: CurveOf, span: Range, sources: dict[int, Quantity]
    ) -> dict[int, Curve]:
        days = range(0) if self._days is None else self._days.within(asked.profile, span)
        if len(days) < _DAYS_AT_LEAST:
            return {}
        whole = (days.start * DAY_S, days.stop * DAY_S)
        tables = self._server.query_at_once(asked.query(influx_packed.FIELDS, PACKED, whole))
        return {day: curve for each in tables for day, curve in influx_packed.curves(each, sources)}

    def _as_read(self, asked: CurveOf, span: Range) -> Curve:
        """Returns readings, without points that are only in part there yet."""
        query = asked.query("quality, layout", READINGS, span, "clock_status")
        rows = in_order(self._server.query_at_once(query))
        curve = _curve(rows)
        if None in curve.quality or None in curve.layouts:
            return _curve([row for row in rows if None not in row[2:]])
        return curve


def _curve(rows: Sequence[Sequence[Any]]) -> Curve:
    return Curve(*map(list, zip(*rows, strict=True))) if rows else NO_ROWS


def _besides(days: Collection[int], span: Range) -> Iterator[Range]:
    """Yields what is left of a range beside whole days."""
    start = span[0]
    for day in sorted(days):
        if start < day * DAY_S:
            yield start, day * DAY_S
        start = (day + 1) * DAY_S
    if start < span[1]:
        yield start, span[1]


def _series(curve: Curve, sources: dict[int, Quantity], step_s: int | None) -> Series:
    alike = {sources.get(layout) for layout in set(curve.layouts)}
    quantity = alike.pop() if len(alike) == 1 else None
    if quantity is None:
        points = [
            curves.Point(at, value, quality, sources[layout])
            for at, value, quality, layout in zip(*curve, strict=True)
            if layout in sources
        ]
        return curves.joined(points, step_s)
    if not step_s:
        return Series(curve.times, curve.values, curve.quality, quantity.scaler, quantity.unit)
    starts = np.array(curve.times) // step_s
    last = np.flatnonzero(np.diff(starts, append=starts[-1] + 1)).tolist()
    times = (starts[last] * step_s).tolist()
    values, qualities = [curve.values[at] for at in last], [curve.quality[at] for at in last]
    return Series(times, values, qualities, quantity.scaler, quantity.unit)
