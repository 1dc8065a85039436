"""One part of an archived day: a Parquet file of whole readings, which come back as they were.

One row per reading, revisions included; its values are a list of structs, with scaler and unit
beside each integer, so that parts of all days, profiles and kinds of meters have the same schema.
One that an erasure has written says in its metadata what it holds.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hesper_cloud.exports.parquet import written
from hesper_cloud.exports.targets import opened
from hesper_cloud.stores.copying import Content
from hesper_cloud.stores.port import Reading, ReadValue

_ROWS_PER_PART = 20_000
_INSTANT = pa.timestamp("ms", tz="UTC")
_VALUE = pa.struct(
    [
        ("logical_name", pa.string()),
        ("value", pa.int64()),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
    ]
)
_SCHEMA = pa.schema(
    [
        ("meter", pa.string()),
        ("profile", pa.string()),
        ("captured_at", _INSTANT),
        ("clock_status", pa.uint8()),
        ("quality", pa.int32()),
        ("received_at", _INSTANT),
        ("stored_at", _INSTANT),
        ("revision", pa.int32()),
        ("values", pa.list_(_VALUE)),
    ]
)
_KEYS = ["meter", "captured_at"]
_HELD = "hesper.held"


class Share(NamedTuple):
    """One meter's readings of a time: captures in epoch seconds, the end left out."""

    meter: str
    start: int
    end: int


def octets(readings: Iterable[Reading]) -> Iterator[bytes]:
    """Yields the file of readings, piece by piece; nothing when there is none."""
    yield from written(map(_table, _parts(iter(readings))))


def readings(url: str) -> Iterator[Reading]:
    """Yields the readings of a part.

    Raises:
        TargetError: it cannot be read, or is damaged (as OSError or ValueError of Arrow's).
    """
    with opened(url) as file:
        for batch in pq.ParquetFile(file).iter_batches(_ROWS_PER_PART):
            yield from rows(batch)


def rows(table: pa.Table | pa.RecordBatch) -> Iterator[Reading]:
    """Yields the readings of some rows."""
    yield from map(_reading, *(_plain(table.column(name)) for name in _SCHEMA.names))


def groups(url: str) -> Iterator[pa.Table]:
    """Yields the row groups of a part.

    Raises:
        TargetError: it cannot be read, or is damaged.
    """
    with opened(url) as file:
        parquet = pq.ParquetFile(file)
        for number in range(parquet.num_row_groups):
            yield parquet.read_row_group(number).replace_schema_metadata()


def parted(url: str, share: Share) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yields of each row group what is not in a share, and what is.

    Raises:
        TargetError: it cannot be read, or is damaged.
    """
    for table in groups(url):
        chosen = _chosen(table, share)
        yield table.filter(pc.invert(chosen)), table.filter(chosen)


def holds(url: str, share: Share) -> bool:
    """Says whether a part holds some of a share; reads two columns, where statistics allow it.

    Raises:
        TargetError: it cannot be read, or is damaged.
    """
    with opened(url) as file:
        parquet = pq.ParquetFile(file)
        return any(
            pc.any(_chosen(parquet.read_row_group(number, _KEYS), share)).as_py()
            for number in range(parquet.num_row_groups)
            if _may_hold(parquet.metadata.row_group(number), share.meter)
        )


def saying(held: Content) -> dict[str, str]:
    """Returns the metadata with which a part says what it holds."""
    return {_HELD: json.dumps(asdict(held))}


def said(url: str) -> Content | None:
    """Returns what a part says that it holds; None where it says nothing.

    Raises:
        TargetError: it cannot be read, or is damaged.
    """
    with opened(url) as file:
        found = (pq.read_metadata(file).metadata or {}).get(_HELD.encode())
    return None if found is None else Content(**json.loads(found))


def _may_hold(group: pq.RowGroupMetaData, meter: str) -> bool:
    """Says whether a meter's name lies between the least and the greatest of a row group."""
    told = group.column(_SCHEMA.get_field_index("meter")).statistics
    return told is None or not told.has_min_max or told.min <= meter <= told.max


def _chosen(table: pa.Table, share: Share) -> pa.ChunkedArray:
    at = table["captured_at"].cast(pa.int64())
    since = pc.greater_equal(at, share.start * 1000)
    before = pc.less(at, share.end * 1000)
    return pc.and_(pc.equal(table["meter"], share.meter), pc.and_(since, before))


def _parts(readings: Iterator[Reading]) -> Iterator[list[Reading]]:
    while part := list(islice(readings, _ROWS_PER_PART)):
        yield part


def _table(readings: list[Reading]) -> pa.Table:
    rows = [_row(reading) for reading in readings]
    columns = [
        pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)
    ]
    return pa.table(columns, schema=_SCHEMA)


def _row(reading: Reading) -> tuple[Any, ...]:
    return (
        *(reading.meter, reading.profile, reading.captured_at * 1000, reading.clock_status),
        *(reading.quality, reading.received_at * 1000, reading.stored_at_ms, reading.revision),
        [each._asdict() for each in reading.values],
    )


def _plain(column: pa.Array) -> list[Any]:
    found: list[Any] = (column.cast(pa.int64()) if column.type == _INSTANT else column).to_pylist()
    return found


def _reading(
    meter: str,
    profile: str,
    captured_at_ms: int,
    clock_status: int,
    quality: int,
    received_at_ms: int,
    stored_at_ms: int,
    revision: int,
    values: list[dict[str, Any]],
) -> Reading:
    return Reading(
        *(meter, profile, captured_at_ms // 1000, clock_status, quality),
        *(received_at_ms // 1000, stored_at_ms),
        tuple(ReadValue(**each) for each in values),
        revision,
    )
