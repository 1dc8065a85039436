"""Validated values as CSV (RFC 4180) and Parquet: one line per value, with quality and source.

``grade`` is Green Button's QualityOfReading, ``codes`` are IEC 61968-9's reading quality types,
``source`` is raw, estimate or edit, and ``raw`` what the meter said where another value counts.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from hesper_cloud.csv_lines import lines
from hesper_cloud.exports.curves import Curve
from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.exports.parquet import written
from hesper_cloud.quantities import symbol

_TITLES = (
    *("meter", "profile", "logical_name", "captured_at", "value", "unit"),
    *("source", "grade", "codes", "raw"),
)
_SCHEMA = pa.schema(
    [
        ("meter", pa.string()),
        ("profile", pa.string()),
        ("logical_name", pa.string()),
        ("captured_at", pa.timestamp("ms", tz="UTC")),
        ("value", pa.int64()),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
        ("source", pa.string()),
        ("grade", pa.uint8()),
        ("codes", pa.list_(pa.string())),
        ("raw", pa.int64()),
    ]
)


def csv_lines(curves: Iterable[Curve]) -> Iterator[bytes]:
    """Yields the file in parts of some thousand lines; the header even when there is no value."""
    yield from lines(chain([_TITLES], chain.from_iterable(map(_lines, curves))))


def _lines(curve: Curve) -> Iterator[tuple[object, ...]]:
    name, scaler, unit = curve.quantity
    for each in curve.values:
        yield (
            *(curve.meter, curve.profile, name, rfc3339(each.captured_at)),
            *(exact(each.value, scaler), symbol(unit), each.source, int(each.grade)),
            " ".join(each.codes),
            "" if each.raw is None else exact(each.raw, scaler),
        )


def parquet(curves: Iterable[Curve]) -> Iterator[bytes]:
    """Yields one Parquet file, a row group per curve; nothing when there is no value."""
    yield from written(map(_table, curves))


def _table(curve: Curve) -> pa.Table:
    name, scaler, unit = curve.quantity
    rows = curve.values
    columns: dict[str, Any] = {
        "meter": [curve.meter] * len(rows),
        "profile": [curve.profile] * len(rows),
        "logical_name": [name] * len(rows),
        "captured_at": [each.captured_at * 1000 for each in rows],
        "value": [each.value for each in rows],
        "scaler": [scaler] * len(rows),
        "unit": [unit] * len(rows),
        "source": [each.source for each in rows],
        "grade": [int(each.grade) for each in rows],
        "codes": [each.codes for each in rows],
        "raw": [each.raw for each in rows],
    }
    return pa.table(columns, schema=_SCHEMA)
