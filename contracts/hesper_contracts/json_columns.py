"""The plain JSON form of a batch as numpy columns, for the cloud (gateways never import this).

What is the same for many readings is looked at once: the set of quantities with their scalers and
units, the meter's name, the moment. What is left for each reading is to sort it into its table.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from hesper_contracts.columns import Int64s, SectionColumns
from hesper_contracts.frame import Refused
from hesper_contracts.jsonbody import check_years
from hesper_contracts.readings import LOAD_PROFILE, Quantity
from hesper_contracts.readings_json import JsonReading, JsonReadings, logical_name
from hesper_contracts.topics import meter_id

_INT64 = range(-(1 << 63), 1 << 63)
_Numbers = tuple[int, ...]
_Key = tuple[str | None, tuple[str, ...], _Numbers, _Numbers]
_Values = tuple[int | None, ...]


class _Rows:
    """Readings of one profile and one set of quantities, as they came."""

    def __init__(self) -> None:
        self.readings: list[JsonReading] = []
        self.values: list[_Values] = []


def sections(batch: JsonReadings, received_at: datetime) -> list[SectionColumns]:
    """Return readings that share profile and quantities as columns, by meter and time.

    Raises:
        Refused: a logical name, meter, time or number that cannot be one.
    """
    received = int((batch.received_at or received_at).timestamp())
    found: defaultdict[_Key, _Rows] = defaultdict(_Rows)
    for reading in batch.readings:
        if not reading.values:
            raise Refused(f"reading of meter {reading.meter!r} has no values")
        values, scalers, units = zip(*reading.values.values(), strict=True)
        rows = found[reading.profile, tuple(reading.values), scalers, units]
        rows.readings.append(reading)
        rows.values.append(values)
    seconds = _seconds(batch.readings)
    return [_section(key, rows, received, seconds) for key, rows in found.items()]


def _seconds(readings: Sequence[JsonReading]) -> dict[datetime, int]:
    """Return the epoch seconds of every moment that readings name."""
    moments = {reading.captured_at for reading in readings}
    check_years(moments)
    return {moment: int(moment.timestamp()) for moment in moments}


def _section(key: _Key, rows: _Rows, received: int, seconds: dict[datetime, int]) -> SectionColumns:
    profile, names, scalers, units = key
    numbers: dict[str, int] = {}
    for reading in rows.readings:
        numbers.setdefault(reading.meter, len(numbers))
    meter = np.array([numbers[reading.meter] for reading in rows.readings], np.int32)
    captured_at = np.array([seconds[reading.captured_at] for reading in rows.readings], np.int64)
    order = np.lexsort((captured_at, meter))
    values, nulls = _columns(rows.values)
    return SectionColumns(
        LOAD_PROFILE if profile is None else logical_name(profile),
        received,
        tuple(map(_quantity, names, scalers, units)),
        tuple(map(meter_id, numbers)),
        meter[order],
        captured_at[order],
        _small([reading.clock_status for reading in rows.readings], 0xFF)[order].astype(np.uint8),
        _small([reading.quality for reading in rows.readings], 0xFFFF)[order].astype(np.uint16),
        np.ascontiguousarray(values[:, order]),
        None if nulls is None else np.ascontiguousarray(nulls[:, order]),
    )


def _columns(
    rows: list[_Values],
) -> tuple[Int64s, np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None]:
    """Return values by quantity and row, and the mask of those that are missing."""
    try:
        return np.array(rows, np.int64).T, None
    except (TypeError, OverflowError):
        missing = [[value is None for value in row] for row in rows]
    wrong = next((v for row in rows for v in row if v is not None and v not in _INT64), None)
    if wrong is not None:
        raise Refused(f"value {wrong} is outside signed 64 bit")
    present = [[value or 0 for value in row] for row in rows]
    return np.array(present, np.int64).T, np.array(missing, np.bool_).T


def _quantity(name: str, scaler: int, unit: int) -> Quantity:
    if not -128 <= scaler <= 127:
        raise Refused(f"scaler {scaler} of {name} is not a signed octet")
    return Quantity(logical_name(name), scaler, _within(unit, 255))


def _small(numbers: list[int], limit: int) -> Int64s:
    _within(min(numbers), limit)
    _within(max(numbers), limit)
    return np.array(numbers, np.int64)


def _within(value: int, limit: int) -> int:
    if not 0 <= value <= limit:
        raise Refused(f"{value} is not between 0 and {limit}")
    return value
