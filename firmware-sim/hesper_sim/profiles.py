"""The two profiles of a meter (class 7): load profile and event log, encoded from their buffers.

Rows leave oldest first. A range selects by the clock column, entries count from 1 for the oldest.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from hesper_dlms.profile import encode_buffer

from hesper_sim.buffers import Row
from hesper_sim.district import PROFILE_COLUMNS, District
from hesper_sim.meter import EVENT_DEPTH, Meter

SORTED_FIFO: Final = 1
_REGISTER_CLASS: Final = 3
_DATA_CLASS: Final = 1
_FAR_FUTURE: Final = 1 << 40
_LOAD_TAGS: Final = (
    *(axdr.Tag.DOUBLE_LONG_UNSIGNED,) * 4,
    *(axdr.Tag.LONG_UNSIGNED,) * 3,
    axdr.Tag.DOUBLE_LONG_UNSIGNED,
)
_EVENT_TAGS: Final = (axdr.Tag.LONG_UNSIGNED,)

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
    rows = district.history.rows(meter, start, end, now, entries)
    return _buffer(rows, _LOAD_TAGS)


def event_log(meter: Meter, selection: AccessSelection | None) -> bytes:
    """Return the event log's buffer, as far as it was selected."""
    start, end, entries = _bounds(selection, 2)
    rows = meter.events.between(start, end)
    return _buffer(rows[entries], _EVENT_TAGS)


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


def _buffer(rows: list[Row], tags: Sequence[axdr.Tag]) -> bytes:
    clocks = [time_octets(row.captured_at) for row in rows]
    columns = [[row.values[place] for row in rows] for place in range(len(tags))]
    return encode_buffer(clocks, list(zip(tags, columns, strict=True)))
