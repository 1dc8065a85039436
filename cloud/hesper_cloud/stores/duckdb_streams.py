"""Readings of the embedded store in bulk: exports, columns in order, the change feed."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from hesper_cloud.stores.duckdb_reads import (
    NUMBERED,
    VERSIONS,
    by_layout,
    condition,
    fetched,
    listed,
    reading_of,
)
from hesper_cloud.stores.duckdb_schema import COLUMN_LIST
from hesper_cloud.stores.duckdb_snapshot import Range, Snapshot
from hesper_cloud.stores.port import LATEST, Changes, Quantity, Reading, ReadingColumns

_ROWS_PER_PART = 100_000
_ALWAYS = (-(2**62), 2**62)
_ORDER = "commit_number, meter, profile, captured_at, clock_status, revision"
_FIELDS = 6  # of a cursor
_CURSOR = re.compile(rf"[0-9]{{1,19}}(\.[0-9]{{1,19}}){{{_FIELDS - 1}}}")
_PLAIN = ("captured_at", "clock_status", "quality", "received_at", "stored_at_ms")


def export(view: Snapshot, span: Range) -> Iterator[Reading]:
    """Yields every reading of a range, a part at a time."""
    where = "captured_at >= $start AND captured_at < $end"
    query = VERSIONS.format(stored=view.stored(span), where=where)
    for row in fetched(view.cursor.execute(query, {"start": span[0], "end": span[1]})):
        yield reading_of(view.catalogue, row)


def rows(
    view: Snapshot, profile: str, span: Range, meters: Sequence[str] | None
) -> Iterator[ReadingColumns]:
    """Yields first versions of one profile, ascending by meter and time."""
    where = condition(view.catalogue, profile, meters)
    key = view.catalogue.known_profile(profile)
    quantities = {} if key is None else view.catalogue.quantities_of(key)
    if where is None or not quantities:
        return
    values = [f"{by_layout(places)} AS q{n}" for n, places in enumerate(quantities.values())]
    query = f"""
        SELECT meter, {", ".join((*_PLAIN, *values))} FROM {view.stored(span)}
        WHERE {where} ORDER BY meter, captured_at, clock_status"""  # noqa: S608 - keys and column names are ours
    parts = view.cursor.sql(query).to_arrow_reader(_ROWS_PER_PART)
    for part in parts:
        yield _columns(part, profile, tuple(quantities), view.catalogue.meter_names)


def _columns(
    part: pa.RecordBatch, profile: str, quantities: tuple[Quantity, ...], names: Sequence[str]
) -> ReadingColumns:
    keys, meter_index = np.unique(part.column("meter").to_numpy(), return_inverse=True)
    plain = {name: part.column(name).to_numpy() for name in _PLAIN}
    columns = [part.column(f"q{place}") for place in range(len(quantities))]
    shape = (len(quantities), part.num_rows)
    return ReadingColumns(
        profile=profile,
        quantities=quantities,
        meters=tuple(names[key] for key in keys),
        meter_index=meter_index,
        values=np.array([column.fill_null(0).to_numpy() for column in columns]).reshape(shape),
        missing=np.array(
            [column.is_null().to_numpy(zero_copy_only=False) for column in columns], dtype=bool
        ).reshape(shape),
        **plain,
    )


def changes(view: Snapshot, cursor: str, limit: int) -> Changes:
    """Returns a page of readings in the order of their commits, meter and time within one."""
    after = _parsed(cursor)
    query = f"""
        SELECT {COLUMN_LIST}, revision FROM (
            SELECT {COLUMN_LIST}, 0 AS revision FROM {view.stored(_ALWAYS, after[0])}
            UNION ALL FROM ({NUMBERED}))
        WHERE commit_number >= {after[0]:d} AND ({_ORDER}) > ({listed(after)})
        ORDER BY {_ORDER} LIMIT {limit:d}"""  # noqa: S608 - integers and our own column names
    found = view.cursor.execute(query).fetchall()
    if found:
        last = found[-1]
        cursor = ".".join(map(str, (last[-2], last[0], last[1], last[2], last[3], last[-1])))
    return Changes([reading_of(view.catalogue, row) for row in found], cursor)


def _parsed(cursor: str) -> tuple[int, ...]:
    if not cursor:
        return (-1,) * _FIELDS
    if not _CURSOR.fullmatch(cursor):
        raise ValueError(f"{cursor[:200]!r} is no cursor of this store")
    return tuple(map(int, cursor.split(".")))


def extent(view: Snapshot) -> tuple[int, int] | None:
    """Returns the range of capture times, sealed days in whole."""
    low, high = view.cursor.execute(
        "SELECT min(captured_at), max(captured_at) + 1 FROM readings"
    ).fetchall()[0]
    ranges = [*view.extents(), *([] if low is None else [(low, high)])]
    if not ranges:
        return None
    return min(each[0] for each in ranges), min(max(each[1] for each in ranges), LATEST + 1)
