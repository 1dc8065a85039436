"""A day's values of some meters in InfluxDB: from days that are packed, where there are any.

A meter whose days are not all packed is read as it is. So is the capture that ends the day, which
belongs to its growth and to the next day's levels.
"""

from collections.abc import Iterable, Sequence

from hesper_cloud.stores import influx_packed
from hesper_cloud.stores.curves import by_unit
from hesper_cloud.stores.influx_columns import Alike, Columns
from hesper_cloud.stores.influx_day_sums import Kind
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import PACKED, READINGS, untagged
from hesper_cloud.stores.influx_packed import Curve
from hesper_cloud.stores.influx_ql import Range, field, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.stepped_sums import DAY_S, Rows

Key = tuple[str, int]
"""A quantity, and a unit in which meters have it."""


class DayRows:
    """Reads what levels or growth of a day are summed up from."""

    def __init__(self, server: InfluxServer, layouts: Layouts, kind: Kind, day: int) -> None:
        self._server = server
        self._profile = kind.profile
        self._growth = kind.growth
        self._days = range(day - kind.growth, day + 1)
        names = {
            quantity.logical_name
            for layout in layouts.of_profile(kind.profile)
            for quantity in layouts.quantities(layout)
        }
        self._sources = {name: layouts.having(name) for name in sorted(names)}
        self._alike = {
            (name, unit): Alike.of(sources)
            for name, having in self._sources.items()
            for unit, sources in by_unit(having).items()
        }

    @property
    def scalers(self) -> dict[Key, int]:
        """The scaler in which the values of each quantity are given."""
        return {key: alike.scaler for key, alike in self._alike.items()}

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
        found = {name: Columns() for name in self._sources}
        packed = self._packed(meters, (start, end))
        for meter, curves in packed.items():
            for name, curve in curves:
                found[name].add(meter, curve.times, curve.values, curve.layouts)
        others = [meter for meter in meters if meter not in packed]
        self._read(found, others, (start, end + self._growth))
        if self._growth:
            self._read(found, list(packed), (end, end + 1))
        rows = {
            (name, unit): found[name].rows(alike) for (name, unit), alike in self._alike.items()
        }
        return {key: each for key, each in rows.items() if len(each.value)}

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

    def _read(self, found: dict[str, Columns], meters: Sequence[str], span: Range) -> None:
        if not meters:
            return
        for table in self._server.query(self._query("layout", READINGS, meters, span)):
            meter = untagged(table.tags["meter"])
            times, *columns, layouts = zip(*table.rows, strict=True)
            for name, column in zip(self._sources, columns, strict=True):
                found[name].add(meter, times, column, layouts)

    def _query(self, fields: str, source: str, meters: Sequence[str], span: Range) -> str:
        names = ", ".join(map(field, self._sources))
        where = f"{of_meters(meters)} AND profile = {quoted(self._profile)} AND {within(span)}"
        return select(f"{names}, {fields}", source, where, "meter")
