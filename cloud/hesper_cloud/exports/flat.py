"""CSV (RFC 4180): one line per reading, a column per quantity, exact decimal values.

A quantity's column is named by logical name and unit (``1.0.1.8.0.255 Wh``), whatever scaler each
meter has; what is missing is empty. Times are RFC 3339 in UTC. A meter that is named like a formula
has an apostrophe before it.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from hesper_cloud.csv_lines import lines
from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.quantities import symbol
from hesper_cloud.stores.port import Quantity, ReadingColumns

_OWN = ("meter", "profile", "captured_at", "clock_status", "quality", "received_at", "stored_at")


def write(parts: Iterable[ReadingColumns]) -> Iterator[bytes]:
    """Yields the file in parts of some thousand lines; the header even when there is no reading."""
    quantities = None
    for part in parts:
        if quantities is None:
            quantities = part.quantities
            yield from lines([[*_OWN, *_columns(quantities)]])
        yield from lines(_lines(part))
    if quantities is None:
        yield from lines([_OWN])


def _columns(quantities: Sequence[Quantity]) -> dict[str, list[int]]:
    """Returns the places of the quantities that share a column, by its title."""
    found: dict[str, list[int]] = {}
    for place, quantity in enumerate(quantities):
        title = f"{quantity.logical_name} {symbol(quantity.unit)}".strip()
        found.setdefault(title, []).append(place)
    return found


def _column(part: ReadingColumns, places: Iterable[int]) -> list[str]:
    """Returns exact decimals; a reading that has a quantity twice shows the finer one."""
    found = [""] * part.row_count
    for place in sorted(places, key=lambda place: part.quantities[place].scaler, reverse=True):
        values, there = part.values[place].tolist(), np.flatnonzero(~part.missing[place])
        for row in there.tolist():
            found[row] = exact(values[row], part.quantities[place].scaler)
    return found


def _lines(part: ReadingColumns) -> Iterator[list[object]]:
    names = [part.meters[place] for place in part.meter_index]
    columns = [_column(part, places) for places in _columns(part.quantities).values()]
    for place, values in enumerate(zip(*columns, strict=True)):
        yield [
            names[place],
            part.profile,
            rfc3339(int(part.captured_at[place])),
            int(part.clock_status[place]),
            int(part.quality[place]),
            rfc3339(int(part.received_at[place])),
            rfc3339(int(part.stored_at_ms[place]) // 1000),
            *values,
        ]
