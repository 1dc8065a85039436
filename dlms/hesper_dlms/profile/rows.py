"""Rows of a buffer one behind the other: tagged (array) or without tags (compact-array)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag, compact
from hesper_dlms.axdr.octets import read_tag
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile.template import RowTemplate, learn, learn_untagged


def row_width(octets: bytes) -> int | None:
    """Return how many columns the rows of an encoded buffer have; None when there is no row.

    Raises:
        DecodeError: Not a buffer.
    """
    if octets[:1] == bytes((Tag.COMPACT_ARRAY,)):
        description, contents, _ = compact.read_parts(octets, 1, axdr.MAX_DEPTH)
        return description.size if contents else None
    if octets[:1] != bytes((Tag.ARRAY,)):
        raise DecodeError("a profile buffer is an array", 0)
    count, offset = axdr.read_length(octets, 1)
    if count == 0:
        return None
    if read_tag(octets, offset) is not Tag.STRUCTURE:
        raise DecodeError("a row of a profile is a structure", offset)
    return axdr.read_length(octets, offset + 1)[0]


class Rows(Protocol):
    """Rows that are still to be decoded."""

    octets: bytes
    offset: int

    @property
    def left(self) -> int:
        """How many rows may follow at most; 0 at the end."""
        ...

    def template(self, clock_column: int) -> RowTemplate | None:
        """Return the layout of the next row; None when it is not flat."""
        ...

    def take(self) -> Sequence[Data]:
        """Return the next row, decoded generically, and go behind it."""
        ...

    def skip(self, template: RowTemplate, rows: int) -> None:
        """Go behind some rows of one layout."""
        ...


class TaggedRows:
    """The rows of an array, each a structure."""

    def __init__(self, octets: bytes) -> None:
        self.left, self.offset = axdr.read_length(octets, 1)
        self.octets = octets
        self._budget = axdr.Budget()
        if self.left > len(octets) - self.offset:
            behind = len(octets) - self.offset
            raise DecodeError(f"{self.left} rows announced, {behind} octets left", self.offset)

    def template(self, clock_column: int) -> RowTemplate | None:
        """Return the layout of the next row; None when it is not flat."""
        return learn(self.octets, self.offset, clock_column)

    def take(self) -> Sequence[Data]:
        """Return the next row, decoded generically, and go behind it."""
        row, self.offset = axdr.decode_prefix(self.octets, self.offset, self._budget)
        self.left -= 1
        return row.as_items()

    def skip(self, template: RowTemplate, rows: int) -> None:
        """Go behind some rows of one layout."""
        self.offset += rows * template.size
        self.left -= rows


class UntaggedRows:
    """The rows of a compact-array whose type is a structure."""

    def __init__(self, octets: bytes) -> None:
        self._description, self.octets, end = compact.read_parts(octets, 1, axdr.MAX_DEPTH)
        if end != len(octets):
            raise DecodeError(f"{len(octets) - end} octets too many behind the rows", end)
        if self.octets and self._description.tag is not Tag.STRUCTURE:
            raise DecodeError("a row of a profile is a structure", 1)
        self._contents = compact.Contents(self.octets, compact.budget(len(octets)))
        self.offset = 0

    @property
    def left(self) -> int:
        """How many rows may follow at most: one per octet."""
        return len(self.octets) - self.offset

    def template(self, clock_column: int) -> RowTemplate | None:
        """Return the layout of the next row; None when it is not flat."""
        return learn_untagged(self._description, self.octets, self.offset, clock_column)

    def take(self) -> Sequence[Data]:
        """Return the next row, decoded generically, and go behind it."""
        self._contents.offset = self.offset
        row = self._contents.read(self._description)
        if self._contents.offset == self.offset:
            raise DecodeError("a compact-array of a type without octets", self.offset)
        self.offset = self._contents.offset
        return row.as_items()

    def skip(self, template: RowTemplate, rows: int) -> None:
        """Go behind some rows of one layout."""
        self.offset += rows * template.size
