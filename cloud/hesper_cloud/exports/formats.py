"""The formats by name: how each is written and what its files are called.

CSV and Parquet have a line per reading; of the validated view, in which every value has a quality
of its own, a line per value. Green Button and IEC 61968-9 go value by value in any case.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from hesper_cloud.exports import cim, espi, flat, parquet, values
from hesper_cloud.exports.curves import Curve, stored_curves
from hesper_cloud.stores.port import ReadingColumns

FormatName = Literal["csv", "parquet", "espi", "iec61968"]
Parts = Iterable[ReadingColumns]
Curves = Iterable[Curve]


class Format(NamedTuple):
    """One format: how stored readings and how validated ones are written."""

    write: Callable[[Parts], Iterator[bytes]]
    write_validated: Callable[[Curves], Iterator[bytes]]
    media_type: str
    suffix: str


def _by_curve(write: Callable[[Curves], Iterator[bytes]]) -> Callable[[Parts], Iterator[bytes]]:
    return lambda parts: write(stored_curves(parts))


FORMATS: dict[FormatName, Format] = {
    "csv": Format(flat.write, values.csv_lines, "text/csv; charset=utf-8", "csv"),
    "parquet": Format(parquet.write, values.parquet, "application/vnd.apache.parquet", "parquet"),
    "espi": Format(_by_curve(espi.write), espi.write, "application/atom+xml", "xml"),
    "iec61968": Format(_by_curve(cim.write), cim.write, "application/xml", "xml"),
}


def counted(parts: Parts, told: Callable[[int], None]) -> Iterator[ReadingColumns]:
    """Passes parts on and tells after each how many readings have passed."""
    count = 0
    for part in parts:
        yield part
        count += part.row_count
        told(count)


def counted_values(curves: Curves, told: Callable[[int], None]) -> Iterator[Curve]:
    """Passes curves on and tells after each how many values have passed."""
    count = 0
    for curve in curves:
        yield curve
        count += len(curve.values)
        told(count)
