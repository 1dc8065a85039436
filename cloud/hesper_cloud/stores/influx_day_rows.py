"""A day's values of some meters in InfluxDB: from days that are packed, where there are any.

A meter whose days are not all packed is read as it is. So is the capture that ends the day, which
belongs to its growth and to the next day's levels.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from hesper_cloud.stores import influx_packed
from hesper_cloud.stores.influx_day_sums import Kind
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import PACKED, READINGS, untagged
from hesper_cloud.stores.influx_packed import Curve
from hesper_cloud.stores.influx_ql import Range, field, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.port import Integers
from hesper_cloud.stores.stepped_sums import DAY_S, Rows

Key = tuple[int, str]
"""A layout, and a quantity of it."""


class DayRows:
    """Reads what levels or growth of a day are summed up from."""

    def __init__(self, server: InfluxServer, layouts: Layouts, kind: Kind, day: int) -> None:
        self._server = server
        self._profile = kind.profile
        self._growth = kind.growth
        self._days = range(day - kind.growth, day + 1)
        self._names = {
            layout: {quantity.logical_name for quantity in layouts.quantities(layout)}
            for layout in layouts.of_profile(kind.profile)
        }
        names = sorted(set().union(*self._names.values()))
        self._sources = {name: layouts.having(name) for name in names}

    def meters(self) -> list[str]:
        """Returns the meters that have readings on the day, or where growth sees it end."""
        end = self._days.stop * DAY_S
        span = within((end - DAY_S, end + self._growth))
        where = f"profile = {quoted(self._profile)} AND {span}"
        found = self._server.query(select("count(layout)", READINGS, where, "meter"))
        return [untagged(table.tags["meter"]) for table in found]

    def of(self, meters: Sequence[str]) -> dict[Key, Rows]:
        """Returns the rows of some meters, ascending by meter and time."""
        start, end = self._days.start * DAY_S, self._days.stop * DAY_S
        found = _Columns(meters)
        packed = self._packed(meters, (start, end))
        for meter, curves in packed.items():
            for name, curve in curves:
                if curve.times:
                    found.add((curve.layouts[0], name), meter, curve.times, curve.values)
        others = [meter for meter in meters if meter not in packed]
        self._read(found, others, (start, end + self._growth))
        if self._growth:
            self._read(found, list(packed), (end, end + 1))
        return found.rows()

    def _packed(self, meters: Sequence[str], span: Range) -> dict[str, list[tuple[str, Curve]]]:
        """Returns the curves of meters whose days are all packed, ascending in time."""
        query = self._query(influx_packed.FIELDS, PACKED, meters, span)
        found = {}
        for table in self._server.query_at_once(query):
            curves = [
                (name, curve) for name, by_day in self._curves(table) for curve in by_day.values()
            ]
            if len(curves) == len(self._sources) * len(self._days):
                found[untagged(table.tags["meter"])] = curves
        return found

    def _curves(self, table: Table) -> Iterable[tuple[str, dict[int, Curve]]]:
        for place, (name, sources) in enumerate(self._sources.items(), 1):
            rows = [[row[0], row[place], *row[len(self._sources) + 1 :]] for row in table.rows]
            by_day = dict(influx_packed.curves(Table({}, [], rows), sources))
            yield name, dict(sorted(by_day.items()))

    def _read(self, found: "_Columns", meters: Sequence[str], span: Range) -> None:
        if not meters:
            return
        for table in self._server.query(self._query("layout", READINGS, meters, span)):
            meter = untagged(table.tags["meter"])
            times, *columns, layouts = zip(*table.rows, strict=True)
            for layout in set(layouts) - {None}:
                for name, column in zip(self._sources, columns, strict=True):
                    if name in self._names.get(layout, ()):
                        own = _only(layout, layouts, column)
                        found.add((layout, name), meter, times, own)

    def _query(self, fields: str, source: str, meters: Sequence[str], span: Range) -> str:
        names = ", ".join(map(field, self._sources))
        where = f"{of_meters(meters)} AND profile = {quoted(self._profile)} AND {within(span)}"
        return select(f"{names}, {fields}", source, where, "meter")


def _only(
    layout: int, layouts: Sequence[int | None], values: Sequence[int | None]
) -> Sequence[int | None]:
    """Returns the values of rows of one layout, and nothing in the others."""
    return [value if own == layout else None for own, value in zip(layouts, values, strict=True)]


class _Columns:
    """Gathers values; what is nothing is left out."""

    def __init__(self, meters: Sequence[str]) -> None:
        self._places = {meter: place for place, meter in enumerate(meters)}
        self._parts: dict[Key, list[Rows]] = {}

    def add(self, key: Key, meter: str, times: Sequence[int], values: Sequence[int | None]) -> None:
        """Adds values of a meter that are newer than those that it has."""
        if None in values:
            there = [place for place, value in enumerate(values) if value is not None]
            times = [times[place] for place in there]
            values = [values[place] for place in there]
        if values:
            places = np.full(len(values), self._places[meter], np.int64)
            rows = Rows(places, np.array(times, np.int64), np.array(values, np.int64))
            self._parts.setdefault(key, []).append(rows)

    def rows(self) -> dict[Key, Rows]:
        """Returns what there is, ascending by meter and time."""
        return {key: _joined(parts) for key, parts in self._parts.items()}


def _joined(parts: Sequence[Rows]) -> Rows:
    meter, captured_at, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order: Integers = np.argsort(meter, kind="stable")
    return Rows(meter[order], captured_at[order], value[order])
