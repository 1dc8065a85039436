"""Encodes a profile buffer from columns: what a meter does, one `struct.pack` per row."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from hesper_dlms.axdr import Tag, write_length
from hesper_dlms.axdr.octets import FIXED
from hesper_dlms.errors import LocalError

_DAY_S = 86400
_CLOCK = struct.Struct(">BBBxhB")


@lru_cache(maxsize=512)
def _date_octets(day: int) -> bytes:
    moment = datetime.fromtimestamp(day * _DAY_S, UTC)
    return moment.year.to_bytes(2, "big") + bytes((moment.month, moment.day, moment.isoweekday()))


def clock_octets(captured_at: int, deviation_minutes: int = 0, status: int = 0) -> bytes:
    """Return the 12 octets of a date-time.

    Args:
        captured_at: Epoch seconds, UTC.
        deviation_minutes: Minutes from the meter's local time to UTC (Central European Time: -60).
        status: The clock status octet.

    Raises:
        LocalError: The time is outside of the calendar, or a field does not fit.
    """
    day, second = divmod(captured_at - deviation_minutes * 60, _DAY_S)
    hour, second = divmod(second, 3600)
    minute, second = divmod(second, 60)
    try:
        return _date_octets(day) + _CLOCK.pack(hour, minute, second, deviation_minutes, status)
    except (OSError, OverflowError, ValueError, struct.error) as error:
        raise LocalError(f"there is no such date-time: {error}") from None


def encode_buffer(
    clocks: Sequence[bytes], columns: Sequence[tuple[Tag, Sequence[int]]], clock_column: int = 0
) -> bytes:
    """Return the encoded buffer of rows: a clock and integers.

    Args:
        clocks: The 12 octets of each row's date-time.
        columns: Type and values of every other column, in order.
        clock_column: Where the clock's column goes.

    Raises:
        LocalError: A value does not fit its type, or columns are of different length.
    """
    if any(tag not in FIXED for tag, _ in columns) or any(len(each) != 12 for each in clocks):
        raise LocalError("rows are clocks of 12 octets and numbers")
    codes = [f"B{FIXED[tag].format[1:]}" for tag, _ in columns]
    codes.insert(clock_column, "2s12s")
    head = bytes((Tag.STRUCTURE,)) + write_length(len(codes))
    row = struct.Struct(f">{len(head)}s" + "".join(codes))
    parts: list[Sequence[object]] = []
    for tag, values in columns:
        parts += [int(tag)] * len(clocks), values
    parts[2 * clock_column : 2 * clock_column] = [b"\x09\x0c"] * len(clocks), clocks
    try:
        packed = [row.pack(head, *cells) for cells in zip(*parts, strict=True)]
    except (struct.error, ValueError) as error:
        raise LocalError(f"the rows do not fit their types: {error}") from None
    return bytes((Tag.ARRAY,)) + write_length(len(packed)) + b"".join(packed)
