"""The two profiles of a meter (class 7): load profile and event log, encoded from their buffers.

Rows leave oldest first. A range selects by the clock column, entries count from 1 for the oldest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    CLOCK_TIME,
    AccessSelection,
    CosemAttribute,
    DataAccessResult,
    EntrySelector,
    capture_object,
    selector_of,
)
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import ServiceError

from hesper_sim.buffers import Row
from hesper_sim.district import PROFILE_COLUMNS, District
from hesper_sim.meter import EVENT_DEPTH, Meter

SORTED_FIFO: Final = 1
_REGISTER_CLASS: Final = 3
_DATA_CLASS: Final = 1
_FAR_FUTURE: Final = 1 << 40
_STRUCTURE_OF_9 = b"\x02\x09"
_STRUCTURE_OF_2 = b"\x02\x02"
_LOAD_ROW: Final = struct.Struct(">2sH12s" + "BI" * 4 + "BH" * 3 + "BI")
_EVENT_ROW: Final = struct.Struct(">2sH12sBH")
_OCTETS_12: Final = 0x090C
_WIDE, _NARROW = int(axdr.Tag.DOUBLE_LONG_UNSIGNED), int(axdr.Tag.LONG_UNSIGNED)

LOAD_CAPTURE_OBJECTS: Final = axdr.encode(
    axdr.array(
        capture_object(CLOCK_TIME),
        *(capture_object(CosemAttribute(_REGISTER_CLASS, name, 2)) for name in PROFILE_COLUMNS),
    )
)
EVENT_CAPTURE_OBJECTS: Final = axdr.encode(
    axdr.array(
        capture_object(CLOCK_TIME),
        capture_object(CosemAttribute(_DATA_CLASS, obis.EVENT_CODE, 2)),
    )
)
SORT_OBJECT: Final = axdr.encode(capture_object(CLOCK_TIME))


@lru_cache(maxsize=4096)
def time_octets(at: int) -> bytes:
    """Return the 12 octets of a COSEM date-time for epoch seconds; these meters run on UTC."""
    return CosemDateTime.from_datetime(datetime.fromtimestamp(at, UTC)).to_octets()


def load_profile(district: District, meter: Meter, selection: AccessSelection | None) -> bytes:
    """Return the load profile's buffer, as far as it was selected."""
    now = district.now()
    start, end, entries = _bounds(selection, len(PROFILE_COLUMNS) + 1)
    rows = district.history.rows(meter, start, end, now)
    return _array([_load_row(row) for row in rows[entries]])


def event_log(meter: Meter, selection: AccessSelection | None) -> bytes:
    """Return the event log's buffer, as far as it was selected."""
    start, end, entries = _bounds(selection, 2)
    rows = meter.events.between(start, end)
    return _array([_event_row(row) for row in rows[entries]])


def event_depth() -> int:
    """Return how many rows an event log keeps."""
    return EVENT_DEPTH


def _bounds(selection: AccessSelection | None, columns: int) -> tuple[int, int, slice]:
    """Return first and last time of the selected rows, and which of those."""
    if selection is None:
        return 0, _FAR_FUTURE, slice(None)
    selector = selector_of(selection)
    if isinstance(selector, EntrySelector):
        if selector.from_column > 1 or selector.to_column not in (0, columns):
            raise ServiceError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        return 0, _FAR_FUTURE, slice(max(selector.from_entry - 1, 0), selector.to_entry or None)
    start = selector.from_.resolve(UTC).captured_at
    end = selector.to.resolve(UTC).captured_at
    return -int(-start.timestamp() // 1), int(end.timestamp()), slice(None)


def _array(rows: Iterable[bytes]) -> bytes:
    encoded = list(rows)
    return bytes((axdr.Tag.ARRAY,)) + axdr.write_length(len(encoded)) + b"".join(encoded)


def _load_row(row: Row) -> bytes:
    first, second, third, fourth, l1, l2, l3, power = row.values
    return _LOAD_ROW.pack(
        _STRUCTURE_OF_9,
        _OCTETS_12,
        time_octets(row.captured_at),
        *(_WIDE, first, _WIDE, second, _WIDE, third, _WIDE, fourth),
        *(_NARROW, l1, _NARROW, l2, _NARROW, l3, _WIDE, power),
    )


def _event_row(row: Row) -> bytes:
    return _EVENT_ROW.pack(
        _STRUCTURE_OF_2, _OCTETS_12, time_octets(row.captured_at), _NARROW, row.values[0]
    )
