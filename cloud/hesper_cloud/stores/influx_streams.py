"""Readings of InfluxDB in bulk: columns in order, and the range of what is stored."""

from collections.abc import Iterator, Sequence

import numpy as np

from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS, fields_of, untagged
from hesper_cloud.stores.influx_ql import Range, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.port import Flags, Integers, Quantity, ReadingColumns

_METERS_PER_PART = 20
_FEW_DAYS_S = 2 * 86_400
_NAMED_AT_MOST = 50  # of more, all that the profile ever had; the question costs as much as rows


def rows(
    server: InfluxServer,
    layouts: Layouts,
    profile: str,
    span: Range,
    meters: Sequence[str] | None,
) -> Iterator[ReadingColumns]:
    """Yields first versions of one profile, ascending by meter and time."""
    named = sorted(_meters(server, profile) if meters is None else set(meters))
    where = f"profile = {quoted(profile)} AND {within(span)}"
    if len(named) > _NAMED_AT_MOST:
        used = layouts.of_profile(profile)
    else:
        used = _layouts(server, f"{of_meters(named)} AND {where}") if named else []
    quantities = tuple(sorted({q for name in used for q in layouts.quantities(name)}))
    points = reads.few_points if span[1] - span[0] <= _FEW_DAYS_S else reads.points
    for start in range(0, len(named), _METERS_PER_PART):
        chosen = of_meters(named[start : start + _METERS_PER_PART])
        tables = [table for table in points(server, f"{chosen} AND {where}") if table.rows]
        if tables:
            yield _joined(profile, quantities, [_Piece(table, layouts) for table in tables])


def _meters(server: InfluxServer, profile: str) -> list[str]:
    statement = f'SHOW TAG VALUES FROM "{READINGS}" WITH KEY = "meter"'
    found = server.query(f"{statement} WHERE profile = {quoted(profile)}")
    return [untagged(row[1]) for table in found for row in table.rows]


def _layouts(server: InfluxServer, where: str) -> list[int]:
    query = select("distinct(layout)", READINGS, where)
    return [int(row[1]) for table in server.query(query) for row in table.rows]


class _Piece:
    """The rows of one series, taken apart into columns."""

    def __init__(self, table: Table, layouts: Layouts) -> None:
        self.meter = untagged(table.tags["meter"])
        self.row_count = len(table.rows)
        self.clock_status = int(table.tags["clock_status"])
        self._layouts = layouts
        self._columns = dict(zip(table.columns, zip(*table.rows, strict=True), strict=True))

    def column(self, name: str) -> Integers:
        """Returns a column that every row has."""
        return np.fromiter(self._columns[name], np.int64, self.row_count)

    def fill(self, values: Integers, missing: Flags, places: dict[Quantity, int]) -> None:
        """Puts values where they belong; of a quantity that a layout has twice the first counts."""
        used = self.column("layout")
        for layout in np.unique(used).tolist():
            quantities = self._layouts.quantities(layout)
            named = list(zip(quantities, fields_of(quantities), strict=True))
            for quantity, name in reversed(named):
                if name in self._columns:
                    found, there = self._values(name)
                    there &= used == layout
                    values[places[quantity], there] = found[there]
                    missing[places[quantity], there] = False

    def _values(self, name: str) -> tuple[Integers, Flags]:
        column = self._columns[name]
        if None not in column:
            return self.column(name), np.ones(self.row_count, dtype=bool)
        there = np.fromiter((value is not None for value in column), bool, self.row_count)
        found = (0 if value is None else value for value in column)
        return np.fromiter(found, np.int64, self.row_count), there


def _joined(
    profile: str, quantities: tuple[Quantity, ...], pieces: Sequence[_Piece]
) -> ReadingColumns:
    """Joins series to columns, ascending by meter, time and clock status."""
    meters = tuple(sorted({piece.meter for piece in pieces}))
    ranks = {meter: rank for rank, meter in enumerate(meters)}
    lengths = [piece.row_count for piece in pieces]
    meter_index = np.repeat([ranks[piece.meter] for piece in pieces], lengths)
    status = np.repeat([piece.clock_status for piece in pieces], lengths)
    captured_at = np.concatenate([piece.column("time") for piece in pieces])
    order = np.lexsort((status, captured_at, meter_index))
    values = np.zeros((len(quantities), len(order)), dtype=np.int64)
    missing = np.ones(values.shape, dtype=bool)
    places = {quantity: place for place, quantity in enumerate(quantities)}
    ends = np.cumsum(lengths).tolist()
    for piece, end in zip(pieces, ends, strict=True):
        rows_ = slice(end - piece.row_count, end)
        piece.fill(values[:, rows_], missing[:, rows_], places)

    def ordered(name: str) -> Integers:
        return np.concatenate([piece.column(name) for piece in pieces])[order]

    return ReadingColumns(
        profile=profile,
        quantities=quantities,
        meters=meters,
        meter_index=meter_index[order],
        captured_at=captured_at[order],
        clock_status=status[order],
        quality=ordered("quality"),
        received_at=ordered("received_at"),
        stored_at_ms=ordered("stored_at_ms"),
        values=values[:, order],
        missing=missing[:, order],
    )


def extent(server: InfluxServer) -> Range | None:
    """Returns the range of capture times."""
    ends = [
        table.rows[0][0]
        for order in ("ASC", "DESC")
        for table in server.query(
            select("layout", READINGS, "", "") + f" ORDER BY time {order} LIMIT 1"
        )
    ]
    return (ends[0], ends[-1] + 1) if ends else None
