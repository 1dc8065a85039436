"""Rows as Arrow tables, the form in which the embedded store takes them in bulk."""

import numpy as np
import pyarrow as pa

from hesper_cloud.stores.duckdb_schema import OWN_COLUMNS
from hesper_cloud.stores.rows import Rows


def to_arrow(rows: Rows, profile: int, layout: int, stored_at_ms: int, commit: int) -> pa.Table:
    """Returns rows in the column order of the readings table."""
    count = rows.row_count
    columns = {
        "meter": pa.array(rows.meter.astype(np.int32)),
        "profile": _constant(profile, count),
        "captured_at": pa.array(rows.captured_at),
        "clock_status": pa.array(rows.clock_status.astype(np.uint8)),
        "quality": pa.array(rows.quality.astype(np.int32)),
        "layout": _constant(layout, count),
        "received_at": pa.array(rows.received_at),
        "stored_at_ms": pa.array(np.full(count, stored_at_ms, dtype=np.int64)),
    }
    for place in range(OWN_COLUMNS):
        columns[f"v{place}"] = _values(rows, place)
    columns["more"] = _more(rows)
    columns["commit_number"] = pa.array(np.full(count, commit, dtype=np.int64))
    return pa.table(columns)


def _constant(value: int, count: int) -> pa.Array:
    return pa.array(np.full(count, value, dtype=np.int32))


def _values(rows: Rows, place: int) -> pa.Array:
    if place >= len(rows.quantities):
        return pa.nulls(rows.row_count, pa.int64())
    values = np.ascontiguousarray(rows.values[place])
    return pa.array(values, mask=None if rows.missing is None else rows.missing[place])


def _more(rows: Rows) -> pa.Array:
    further = max(0, len(rows.quantities) - OWN_COLUMNS)
    if not further:
        return pa.nulls(rows.row_count, pa.list_(pa.int64()))
    flat = rows.values[OWN_COLUMNS:].T.ravel()
    mask = None if rows.missing is None else rows.missing[OWN_COLUMNS:].T.ravel()
    offsets = np.arange(0, (rows.row_count + 1) * further, further, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, mask=mask))
