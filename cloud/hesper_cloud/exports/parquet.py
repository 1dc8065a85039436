"""Parquet: one row per reading, integers as stored; scaler and unit in each column's metadata.

Columns: meter and profile (dictionary), ``captured_at``, ``received_at`` and ``stored_at`` as UTC
timestamps, clock status, quality, and one 64-bit integer per quantity under its logical name. The
physical value is ``value * 10**scaler`` in ``unit``. Where meters of a profile differ in these, its
column is one for each, ``1.0.1.8.0.255 e-1 Wh``: no reader is to take one for the other.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hesper_cloud.quantities import symbol
from hesper_cloud.stores.port import Integers, Quantity, ReadingColumns

COMPRESSION = "zstd"


class _Sink:
    """A file that only grows; what was written is taken away piece by piece."""

    def __init__(self) -> None:
        self.closed = False
        self._pieces: list[bytes] = []
        self._position = 0

    def write(self, octets: Any) -> int:
        self._pieces.append(bytes(octets))
        self._position += len(octets)
        return len(octets)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """There is nothing to flush."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def write(parts: Iterable[ReadingColumns]) -> Iterator[bytes]:
    """Yields one Parquet file, a row group per part; nothing when there is no reading."""
    yield from written(map(table_of, parts))


def written(
    tables: Iterable[pa.Table], said: Callable[[], Mapping[str, str]] = dict
) -> Iterator[bytes]:
    """Yields one Parquet file, a row group per table; nothing when there is none.

    Args:
        tables: All of one schema.
        said: Returns what the file's metadata shall say; asked when all tables are written.
    """
    sink, writer = _Sink(), None
    for table in tables:
        if writer is None:
            writer = pq.ParquetWriter(sink, table.schema, compression=COMPRESSION)
        writer.write_table(table)
        yield sink.taken()
    if writer is not None:
        writer.add_key_value_metadata(dict(said()))
        writer.close()
        yield sink.taken()


def table_of(part: ReadingColumns) -> pa.Table:
    """Returns the readings of one part as an Arrow table."""
    count = part.row_count
    columns: dict[str, Any] = {
        "meter": _named(part.meter_index, part.meters),
        "profile": _named(np.zeros(count, np.int64), (part.profile,)),
        "captured_at": _instants(part.captured_at * 1000),
        "clock_status": pa.array(part.clock_status.astype(np.uint8)),
        "quality": pa.array(part.quality.astype(np.int32)),
        "received_at": _instants(part.received_at * 1000),
        "stored_at": _instants(part.stored_at_ms),
    }
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    arrays = list(columns.values())
    titles = _titles(part.quantities)
    for title, quantity, values, missing in zip(
        titles, part.quantities, part.values, part.missing, strict=True
    ):
        told = {"scaler": str(quantity.scaler), "unit": str(quantity.unit)}
        fields.append(pa.field(title, pa.int64(), metadata=told))
        arrays.append(pa.array(values.astype(np.int64), mask=missing))
    return pa.table(arrays, schema=pa.schema(fields))


def _titles(quantities: Sequence[Quantity]) -> list[str]:
    counts = Counter(each.logical_name for each in quantities)
    return [
        name if counts[name] == 1 else f"{name} e{scaler} {symbol(unit)}".strip()
        for name, scaler, unit in quantities
    ]


def _named(index: Integers, names: tuple[str, ...]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(names))


def _instants(milliseconds: Integers) -> Any:
    return pa.array(milliseconds.astype(np.int64)).cast(pa.timestamp("ms", tz="UTC"))
