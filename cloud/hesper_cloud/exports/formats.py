"""The formats by name: how each is written and what its files are called."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from hesper_cloud.exports import cim, espi, flat, parquet
from hesper_cloud.stores.port import ReadingColumns

FormatName = Literal["csv", "parquet", "espi", "iec61968"]
Parts = Iterable[ReadingColumns]


class Format(NamedTuple):
    """One format."""

    write: Callable[[Parts], Iterator[bytes]]
    media_type: str
    suffix: str


FORMATS: dict[FormatName, Format] = {
    "csv": Format(flat.write, "text/csv; charset=utf-8", "csv"),
    "parquet": Format(parquet.write, "application/vnd.apache.parquet", "parquet"),
    "espi": Format(espi.write, "application/atom+xml", "xml"),
    "iec61968": Format(cim.write, "application/xml", "xml"),
}


def counted(parts: Parts, told: Callable[[int], None]) -> Iterator[ReadingColumns]:
    """Passes parts on and tells after each how many readings have passed."""
    count = 0
    for part in parts:
        yield part
        count += part.row_count
        told(count)
