"""The formats by name: how each is written and what its files are called.

CSV and Parquet have a line per reading; of the validated view, in which every value has a quality
of its own, a line per value. Green Button and IEC 61968-9 go value by value in any case.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

from hesper_cloud.exports import cim, espi, flat, parquet, values
from hesper_cloud.exports.curves import Curve, stored_curves, stored_stretches
from hesper_cloud.stores.port import ReadingColumns

FormatName = Literal["csv", "parquet", "espi", "iec61968"]
Parts = Iterable[ReadingColumns]
Curves = Iterable[Curve]
T = TypeVar("T")


class Format(NamedTuple):
    """One format: how stored readings and how validated ones of a window are written.

    ``look_around_s`` is how long before and after the window captures are read: a format may need
    those that came before and after.
    """

    write: Callable[[Parts, range], Iterator[bytes]]
    write_validated: Callable[[Curves, range], Iterator[bytes]]
    media_type: str
    suffix: str
    look_around_s: int = 0


def _whole(write: Callable[[T], Iterator[bytes]]) -> Callable[[T, range], Iterator[bytes]]:
    """Returns how a format is written that looks at nothing outside of the window."""
    return lambda parts, _: write(parts)


_CIM = _whole(cim.write)
FORMATS: dict[FormatName, Format] = {
    "csv": Format(_whole(flat.write), _whole(values.csv_lines), "text/csv; charset=utf-8", "csv"),
    "parquet": Format(
        _whole(parquet.write),
        _whole(values.parquet),
        "application/vnd.apache.parquet",
        "parquet",
    ),
    "espi": Format(
        lambda parts, window: espi.write(stored_stretches(parts), window),
        espi.write,
        "application/atom+xml",
        "xml",
        espi.LOOK_AROUND_S,
    ),
    "iec61968": Format(
        lambda parts, window: _CIM(stored_curves(parts), window), _CIM, "application/xml", "xml"
    ),
}


def counted(parts: Parts, window: range, told: Callable[[int], None]) -> Iterator[ReadingColumns]:
    """Passes parts on and tells after each how many readings of the window have passed."""
    count = 0
    for part in parts:
        yield part
        at = part.captured_at
        count += int(((at >= window.start) & (at < window.stop)).sum())
        told(count)


def counted_values(curves: Curves, window: range, told: Callable[[int], None]) -> Iterator[Curve]:
    """Passes curves on and tells after each how many values of the window have passed."""
    count = 0
    for curve in curves:
        yield curve
        count += sum(value.captured_at in window for value in curve.values)
        told(count)
