"""The plain JSON form of a batch as numpy columns, for the cloud (gateways never import this).

What is the same for many readings is looked at once: the set of quantities with their scalers and
units, the meter's name, the moment. What is left for each reading is to sort it into its table; in
a batch whose readings are all alike (`json_alike`) there is one.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from hesper_contracts import json_alike, readings_json
from hesper_contracts.column_streams import Int64s
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import Refused
from hesper_contracts.json_alike import Alike, Reading
from hesper_contracts.jsonbody import UtcTime, check_years
from hesper_contracts.readings import LOAD_PROFILE, Quantity
from hesper_contracts.readings_json import JsonBatch, JsonReading, JsonReadings, logical_name
from hesper_contracts.topics import meter_id

_INT64 = range(-(1 << 63), 1 << 63)
_Numbers = tuple[int, ...]
_Key = tuple[str | None, tuple[str, ...], _Numbers, _Numbers]
_Values = tuple[int | None, ...]
_Columns = tuple[Int64s, npt.NDArray[np.bool_] | None]
_Described = JsonReading | Reading


class _Rows:
    """Readings of one profile and one set of quantities, as they came."""

    def __init__(self) -> None:
        self.readings: list[JsonReading] = []
        self.values: list[_Values] = []


class Opened(NamedTuple):
    """A JSON batch taken apart: the identity that it names, and its sections."""

    batch: JsonBatch | None
    sections: list[SectionColumns]


def open_(payload: bytes, received_at: datetime) -> Opened:
    """Take a JSON batch apart; it was received at a time, unless it says another.

    Raises:
        Refused: not JSON, a field wrong, or a logical name, meter, time or number that is none.
    """
    alike = json_alike.parse(payload)
    section = None if alike is None else _one_section(alike, received_at)
    if alike is not None and section is not None:
        return Opened(alike.batch, [section])
    parsed = readings_json.parse(payload)
    return Opened(parsed.batch, sections(parsed, received_at))


def _one_section(alike: Alike, received_at: datetime) -> SectionColumns | None:
    """Return the only section of a batch; None where profiles differ."""
    shape = (len(alike.readings), len(alike.names))
    try:
        values = np.fromiter(alike.values, np.int64, shape[0] * shape[1]).reshape(shape)
    except OverflowError:
        return None
    profiles = {reading.profile for reading in alike.readings}
    if len(profiles) > 1:
        return None
    names, scalers, units = zip(*alike.names, strict=True)
    key = (profiles.pop(), names, scalers, units)
    received = int((alike.received_at or received_at).timestamp())
    times = [reading.captured_at for reading in alike.readings]
    try:
        moments = {text: msgspec.convert(text, UtcTime) for text in set(times)}
    except msgspec.ValidationError:
        return None
    seconds = _seconds(moments.values())
    epochs = {text: seconds[moment] for text, moment in moments.items()}
    captured_at = np.array([epochs[text] for text in times], np.int64)
    return _section(key, alike.readings, captured_at, (values.T, None), received)


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
    seconds = _seconds({reading.captured_at for reading in batch.readings})
    return [
        _section(
            key,
            rows.readings,
            np.array([seconds[reading.captured_at] for reading in rows.readings], np.int64),
            _columns(rows.values),
            received,
        )
        for key, rows in found.items()
    ]


def _seconds(moments: Collection[datetime]) -> dict[datetime, int]:
    """Return the epoch seconds of moments."""
    check_years(moments)
    return {moment: int(moment.timestamp()) for moment in moments}


def _section(
    key: _Key,
    readings: Sequence[_Described],
    captured_at: Int64s,
    columns: _Columns,
    received: int,
) -> SectionColumns:
    profile, names, scalers, units = key
    meters = [reading.meter for reading in readings]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(meters))}
    meter = np.fromiter(map(numbers.__getitem__, meters), np.int32, len(meters))
    order = _order(meter, captured_at)
    values, nulls = columns
    return SectionColumns(
        LOAD_PROFILE if profile is None else logical_name(profile),
        received,
        tuple(map(_quantity, names, scalers, units)),
        tuple(map(meter_id, numbers)),
        meter[order],
        captured_at[order],
        _small([reading.clock_status for reading in readings], 0xFF)[order].astype(np.uint8),
        _small([reading.quality for reading in readings], 0xFFFF)[order].astype(np.uint16),
        np.ascontiguousarray(values[:, order]),
        None if nulls is None else np.ascontiguousarray(nulls[:, order]),
    )


def _order(meter: npt.NDArray[np.int32], captured_at: Int64s) -> Int64s | slice:
    """Return the order by meter and time; everything as it is, where it came in that order."""
    goes_on = meter[1:] == meter[:-1]
    if (np.where(goes_on, captured_at[1:] >= captured_at[:-1], meter[1:] > meter[:-1])).all():
        return slice(None)
    return np.lexsort((captured_at, meter))


def _columns(rows: list[_Values]) -> _Columns:
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
    different = set(numbers)
    _within(min(different), limit)
    _within(max(different), limit)
    if len(different) == 1:
        return np.full(len(numbers), different.pop(), np.int64)
    return np.array(numbers, np.int64)


def _within(value: int, limit: int) -> int:
    if not 0 <= value <= limit:
        raise Refused(f"{value} is not between 0 and {limit}")
    return value
