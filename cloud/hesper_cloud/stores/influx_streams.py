"""Readings of InfluxDB in bulk: columns in order, and the range of what is stored."""

from collections.abc import Iterator, Sequence

import numpy as np

from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS, untagged
from hesper_cloud.stores.influx_ql import Range, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Quantity, Reading, ReadingColumns

_METERS_PER_PART = 20


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
    used = _layouts(server, where)
    quantities = tuple(sorted({q for name in used for q in layouts.quantities(name)}))
    for start in range(0, len(named), _METERS_PER_PART):
        chosen = of_meters(named[start : start + _METERS_PER_PART])
        query = select("*", READINGS, f"{chosen} AND {where}", reads.TAGS)
        found = [
            reading
            for table in server.query(query)
            for reading in reads.readings_of(table, layouts)
        ]
        found.sort(key=lambda each: (each.meter, each.captured_at, each.clock_status))
        if found:
            yield _columns(profile, quantities, found)


def _meters(server: InfluxServer, profile: str) -> list[str]:
    statement = f'SHOW TAG VALUES FROM "{READINGS}" WITH KEY = "meter"'
    found = server.query(f"{statement} WHERE profile = {quoted(profile)}")
    return [untagged(row[1]) for table in found for row in table.rows]


def _layouts(server: InfluxServer, where: str) -> list[int]:
    query = select("distinct(layout)", READINGS, where)
    return [int(row[1]) for table in server.query(query) for row in table.rows]


def _columns(
    profile: str, quantities: tuple[Quantity, ...], found: Sequence[Reading]
) -> ReadingColumns:
    places = {quantity: place for place, quantity in enumerate(quantities)}
    values = np.zeros((len(quantities), len(found)), dtype=np.int64)
    missing = np.ones(values.shape, dtype=bool)
    for row, reading in enumerate(found):
        for each in reversed(reading.values):
            if each.value is not None:
                place = places[Quantity(each.logical_name, each.scaler, each.unit)]
                values[place, row], missing[place, row] = each.value, False
    meters = tuple(dict.fromkeys(reading.meter for reading in found))
    keys = {meter: key for key, meter in enumerate(meters)}
    return ReadingColumns(
        profile=profile,
        quantities=quantities,
        meters=meters,
        meter_index=np.array([keys[reading.meter] for reading in found]),
        captured_at=np.array([reading.captured_at for reading in found]),
        clock_status=np.array([reading.clock_status for reading in found]),
        quality=np.array([reading.quality for reading in found]),
        received_at=np.array([reading.received_at for reading in found]),
        stored_at_ms=np.array([reading.stored_at_ms for reading in found]),
        values=values,
        missing=missing,
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
