"""The layout of one row of a profile buffer, learned from its octets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from hesper_dlms.axdr import Tag
from hesper_dlms.axdr.octets import FIXED, SIZED
from hesper_dlms.errors import DecodeError

CLOCK_FIELDS = "4sxBBBxhB"
"""Date (year, month, day), weekday skipped, hour, minute, second, hundredths skipped, deviation,
clock status: the 12 octets of a date-time."""

_CODES = {int(tag): fixed.format[1:] for tag, fixed in FIXED.items()}
_CODES |= {int(tag): f"{size}s" for tag, size in SIZED.items()}
_CODES |= {int(Tag.BOOLEAN): "?", int(Tag.NULL_DATA): "", int(Tag.DONT_CARE): ""}
_STRINGS = (int(Tag.OCTET_STRING), int(Tag.VISIBLE_STRING), int(Tag.UTF8_STRING))

_FIRST_WINDOW = 32
_GROWTH = 8


class Column(NamedTuple):
    """One column of a layout; a null column takes no octets of its own."""

    tag: Tag
    is_clock: bool

    @property
    def is_null(self) -> bool:
        """Whether the rows leave this column out."""
        return self.tag in (Tag.NULL_DATA, Tag.DONT_CARE)


class RowTemplate:
    """Which octets every row of a run must repeat, and how the others unpack."""

    __slots__ = ("_checks", "_unpack", "columns", "size")

    def __init__(self, columns: tuple[Column, ...], checks: bytes, codes: list[str]) -> None:
        """Compile a layout.

        Args:
            columns: The columns in order.
            checks: Pairs of octets: 1 and the octet expected at this position, or 0 and 0.
            codes: `struct` codes of the whole row.
        """
        self.columns = columns
        self._unpack = struct.Struct(">" + "".join(codes))
        self.size = self._unpack.size
        self._checks = [
            (position, checks[2 * position + 1 : 2 * position + 2])
            for position in range(self.size)
            if checks[2 * position]
        ]

    def count(self, octets: bytes, offset: int, most: int) -> int:
        """Return how many rows from `offset` on have this layout, `most` at most.

        Looks at growing windows, so that the work is in proportion to the rows found.
        """
        size = self.size
        most = min(most, (len(octets) - offset) // size)
        found, window = 0, _FIRST_WINDOW
        while found < most:
            wanted = min(window, most - found)
            start = offset + found * size
            end = start + wanted * size
            matching = wanted
            for position, octet in self._checks:
                column = octets[start + position : end : size]
                matching = min(matching, wanted - len(column.lstrip(octet)))
                if not matching:
                    break
            found += matching
            if matching < wanted:
                break
            window *= _GROWTH
        return found

    def rows(self, octets: bytes, offset: int, count: int) -> Iterator[tuple[object, ...]]:
        """Yield the unpacked rows of a run that `count` has found."""
        return self._unpack.iter_unpack(octets[offset : offset + count * self.size])


def learn(octets: bytes, offset: int, clock_column: int) -> RowTemplate | None:
    """Return the layout of the row at `offset`; None when it is not flat or is cut short.

    Raises:
        DecodeError: There is no structure at `offset`, or its clock is not a date-time.
    """
    if octets[offset : offset + 1] != bytes((Tag.STRUCTURE,)):
        raise DecodeError("a row of a profile is a structure", offset)
    width = octets[offset + 1] if offset + 1 < len(octets) else 0x80
    if width >= 0x80:
        return None
    builder = _Builder(octets, offset)
    builder.expect(2)
    for index in range(width):
        if not builder.column(index == clock_column):
            return None
    return builder.template()


class _Builder:
    """Walks one row and notes what it is made of."""

    def __init__(self, octets: bytes, offset: int) -> None:
        self._octets = octets
        self._offset = offset
        self._checks = bytearray()
        self._codes: list[str] = []
        self._columns: list[Column] = []

    def expect(self, size: int) -> None:
        """Demand the next `size` octets of every row of the run."""
        for octet in self._octets[self._offset : self._offset + size]:
            self._checks += bytes((1, octet))
        self._codes.append(f"{size}x")
        self._offset += size

    def column(self, is_clock: bool) -> bool:
        """Note one column; False when it is not flat."""
        octets, offset = self._octets, self._offset
        tag = octets[offset] if offset < len(octets) else -1
        code = _CODES.get(tag)
        head = 1
        if tag in _STRINGS and offset + 1 < len(octets) and octets[offset + 1] < 0x80:
            code, head = f"{octets[offset + 1]}s", 2
        if code is None:
            return False
        column = Column(Tag(tag), is_clock)
        if is_clock and not column.is_null:
            if code != "12s" or tag not in (Tag.OCTET_STRING, Tag.DATE_TIME):
                raise DecodeError("the clock's column holds no date-time", offset)
            code = CLOCK_FIELDS
        self.expect(head)
        size = struct.calcsize(">" + code)
        self._checks += bytes(2 * size)
        self._codes.append(code)
        self._columns.append(column)
        self._offset += size
        return True

    def template(self) -> RowTemplate | None:
        """Return the layout; None when the octets end inside it."""
        if self._offset > len(self._octets):
            return None
        return RowTemplate(tuple(self._columns), bytes(self._checks), self._codes)
