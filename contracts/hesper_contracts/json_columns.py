"""The plain JSON form of a batch as numpy columns, for the cloud (gateways never import this).

A batch whose readings have the same form is read by `json_layout`, all at once. Any other is sorted
into tables, one for each set of quantities with their scalers and units. And where one of its
readings cannot be, the others are taken without it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hesper_contracts import json_layout, readings_json
from hesper_contracts.column_streams import Int64s
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import Refused
from hesper_contracts.json_layout import Laid, Rows
from hesper_contracts.jsonbody import epoch_seconds
from hesper_contracts.readings import LOAD_PROFILE, MAX_SECTIONS
from hesper_contracts.readings_json import (
    MOST_QUALITY,
    MOST_STATUS,
    JsonBatch,
    JsonReading,
    JsonReadings,
    RefusedReading,
    logical_name,
    quantity,
    signed_64_bit,
    within,
)
from hesper_contracts.topics import meter_id

_Numbers = tuple[int, ...]
_Key = tuple[str | None, tuple[str, ...], _Numbers, _Numbers]
_Values = tuple[int | None, ...]
_Columns = tuple[Int64s, npt.NDArray[np.bool_] | None]


class _Table:
    """Readings of one profile and one set of quantities, as they came."""

    def __init__(self) -> None:
        self.readings: list[JsonReading] = []
        self.values: list[_Values] = []


class Opened(NamedTuple):
    """A JSON batch taken apart: the identity that it names, its sections, and what cannot be."""

    batch: JsonBatch | None
    sections: list[SectionColumns]
    refused: tuple[RefusedReading, ...] = ()


def open_(payload: bytes, received_at: datetime) -> Opened:
    """Take a JSON batch apart; it was received at a time, unless it says another.

    Raises:
        Refused: not JSON, a field of the batch wrong, or none of its readings can be.
    """
    laid = json_layout.parse(payload)
    if laid is not None:
        with suppress(Refused):
            return Opened(laid.envelope.batch, [_laid_section(laid, received_at)])
    with suppress(Refused):
        parsed = readings_json.parse(payload)
        return Opened(parsed.batch, sections(parsed, received_at))
    parsed, refused = readings_json.parse_each(payload)
    return Opened(parsed.batch, sections(parsed, received_at), refused)


def sections(batch: JsonReadings, received_at: datetime) -> list[SectionColumns]:
    """Return readings that share profile and quantities as columns, by meter and time.

    Raises:
        Refused: a logical name, meter or number that cannot be one, or more sections than a batch
            of columns may have: each costs whoever stores it.
    """
    received = _received(batch, received_at)
    found: defaultdict[_Key, _Table] = defaultdict(_Table)
    for reading in batch.readings:
        if not reading.values:
            raise Refused(f"reading of meter {reading.meter!r} has no values")
        values, scalers, units = zip(*reading.values.values(), strict=True)
        table = found[reading.profile, tuple(reading.values), scalers, units]
        table.readings.append(reading)
        table.values.append(values)
    if len(found) > MAX_SECTIONS:
        raise Refused(
            f"{len(found)} sets of quantities, scalers and units in one message: "
            f"at most {MAX_SECTIONS}; give each quantity one scaler, or send several messages"
        )
    seconds = _seconds({reading.captured_at for reading in batch.readings})
    return [
        _section(key, _rows(table.readings, seconds), _columns(table.values), received)
        for key, table in found.items()
    ]


def _laid_section(laid: Laid, received_at: datetime) -> SectionColumns:
    form = laid.meaning
    key = (form.profile, form.names, form.scalers, form.units)
    return _section(key, laid.rows, (laid.values, None), _received(laid.envelope, received_at))


def _received(batch: JsonReadings, received_at: datetime) -> int:
    return epoch_seconds(batch.received_at or received_at)


def _seconds(moments: Collection[datetime]) -> dict[datetime, int]:
    """Return the epoch seconds of moments."""
    return {moment: epoch_seconds(moment) for moment in moments}


def _rows(readings: Sequence[JsonReading], seconds: dict[datetime, int]) -> Rows:
    count = len(readings)
    meters = [reading.meter for reading in readings]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(meters))}
    return Rows(
        tuple(map(meter_id, numbers)),
        np.fromiter(map(numbers.__getitem__, meters), np.int32, count),
        np.array([seconds[reading.captured_at] for reading in readings], np.int64),
        _small([reading.clock_status for reading in readings], MOST_STATUS),
        _small([reading.quality for reading in readings], MOST_QUALITY),
    )


def _section(key: _Key, rows: Rows, columns: _Columns, received: int) -> SectionColumns:
    profile, names, scalers, units = key
    order = _order(rows.meter_index, rows.captured_at)
    values, nulls = columns
    return SectionColumns(
        LOAD_PROFILE if profile is None else logical_name(profile),
        received,
        tuple(map(quantity, names, scalers, units)),
        rows.meters,
        rows.meter_index[order],
        rows.captured_at[order],
        rows.clock_status[order].astype(np.uint8),
        rows.quality[order].astype(np.uint16),
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
    present = [[0 if value is None else signed_64_bit(value) for value in row] for row in rows]
    return np.array(present, np.int64).T, np.array(missing, np.bool_).T


def _small(numbers: list[int], limit: int) -> Int64s:
    """Return numbers from 0 to a limit as a column."""
    different = set(numbers)
    within(min(different), limit)
    within(max(different), limit)
    if len(different) == 1:
        return np.full(len(numbers), different.pop(), np.int64)
    return np.array(numbers, np.int64)
