"""The layout of one row of a profile buffer, learned from its octets."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.axdr import Tag
from hesper_dlms.axdr.compact import Description, budget
from hesper_dlms.axdr.octets import FIXED, SIZED
from hesper_dlms.errors import DecodeError

NUMBER_CODES = {int(tag): fixed.format[1:] for tag, fixed in FIXED.items()}
"""Tag → type code of `struct` and `array`."""

_SIZES = {int(tag): fixed.size for tag, fixed in FIXED.items()}
_SIZES |= {int(tag): size for tag, size in SIZED.items()}
_SIZES |= {int(Tag.BOOLEAN): 1, int(Tag.NULL_DATA): 0, int(Tag.DONT_CARE): 0}
_STRINGS = (Tag.OCTET_STRING, Tag.VISIBLE_STRING, Tag.UTF8_STRING)
_CLOCKS = (Tag.OCTET_STRING, Tag.DATE_TIME)

_FIRST_WINDOW = 32
_GROWTH = 8


class Column(NamedTuple):
    """One column of a layout: where its contents stand in the row, and how many octets they are."""

    tag: int
    offset: int
    size: int

    @property
    def is_null(self) -> bool:
        """Whether the rows leave this column out."""
        return self.tag in (Tag.NULL_DATA, Tag.DONT_CARE)


class RowTemplate:
    """The columns of a layout and the octets that every row of a run must repeat.

    Args:
        columns: The columns in order.
        checks: Position in the row and the octet expected there: every tag and every length.
        size: Octets of a row.
    """

    __slots__ = ("_checks", "columns", "size")

    def __init__(self, columns: list[Column], checks: list[tuple[int, bytes]], size: int) -> None:
        self.columns = columns
        self.size = size
        self._checks = checks

    def count(self, octets: bytes, offset: int, most: int) -> int:
        """Return how many rows from `offset` on have this layout, `most` at most.

        Looks at growing windows, so that the work is in proportion to the rows found.
        """
        most = min(most, (len(octets) - offset) // self.size)
        found, window = 0, _FIRST_WINDOW
        while found < most:
            wanted = min(window, most - found)
            matching = self._matching(octets, offset + found * self.size, wanted)
            found += matching
            if matching < wanted:
                break
            window *= _GROWTH
        return found

    def _matching(self, octets: bytes, start: int, wanted: int) -> int:
        matching, end = wanted, start + wanted * self.size
        for position, octet in self._checks:
            column = octets[start + position : end : self.size]
            matching = min(matching, wanted - len(column.lstrip(octet)))
        return matching


def learn(octets: bytes, offset: int, clock_column: int) -> RowTemplate | None:
    """Return the layout of the row at `offset`; None when it is not flat or is cut short.

    Raises:
        DecodeError: There is no structure at `offset`, or its clock is not a date-time.
    """
    row = octets[offset : offset + 2]
    if row[:1] != bytes((Tag.STRUCTURE,)):
        raise DecodeError("a row of a profile is a structure", offset)
    if len(row) < 2 or not 0 < row[1] < 0x80:
        return None
    checks = [(0, row[:1]), (1, row[1:])]
    columns: list[Column] = []
    at = 2
    for index in range(row[1]):
        column = _column(octets, offset, at)
        if column is None:
            return None
        if index == clock_column and not column.is_null:
            _check_clock(column, offset + at)
        checks += [
            (place, octets[offset + place : offset + place + 1])
            for place in range(at, column.offset)
        ]
        columns.append(column)
        at = column.offset + column.size
    if offset + at > len(octets):
        return None
    return RowTemplate(columns, checks, at)


def learn_untagged(
    description: Description, octets: bytes, offset: int, clock_column: int
) -> RowTemplate | None:
    """Return the layout of the row of a compact-array at `offset`; None when it is not flat.

    None too when so many columns have no octets that a few rows would unfold without bounds.

    Raises:
        DecodeError: The clock is not a date-time.
    """
    checks: list[tuple[int, bytes]] = []
    columns: list[Column] = []
    at = 0
    for index, element in enumerate(description.elements):
        size = _SIZES.get(element.tag)
        if size is None:
            length = octets[offset + at : offset + at + 1]
            if element.tag not in _STRINGS or not length or length[0] >= 0x80:
                return None
            checks.append((at, length))
            at, size = at + 1, length[0]
        column = Column(element.tag, at, size)
        if index == clock_column and not column.is_null:
            _check_clock(column, offset + at)
        columns.append(column)
        at += size
    whole = at and offset + at <= len(octets) and len(columns) <= budget(at)
    return RowTemplate(columns, checks, at) if whole else None


def _column(octets: bytes, offset: int, at: int) -> Column | None:
    """Return the column whose tag stands at `at` in the row; None when it is not flat."""
    place = offset + at
    if place >= len(octets):
        return None
    tag = octets[place]
    size = _SIZES.get(tag)
    if size is not None:
        return Column(tag, at + 1, size)
    if tag in _STRINGS and place + 1 < len(octets) and octets[place + 1] < 0x80:
        return Column(tag, at + 2, octets[place + 1])
    return None


def _check_clock(column: Column, offset: int) -> None:
    if column.size != SIZED[Tag.DATE_TIME] or column.tag not in _CLOCKS:
        raise DecodeError("the clock's column holds no date-time", offset)
