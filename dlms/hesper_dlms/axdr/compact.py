"""compact-array: one type description, then values without tags (IEC 62056-5-3, `Data` [19]).

contents-description  a tag; an array adds a count (16 bits) and the type of its elements,
                      a structure adds a count and the type of each element
array-contents        length, then the elements one after another until the octets end
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.axdr.data import Data, Tag
from hesper_dlms.axdr.octets import (
    MAX_VALUES,
    Budget,
    read_contents,
    read_length,
    read_octets,
    read_tag,
    write_contents,
    write_length,
)
from hesper_dlms.errors import DecodeError, LocalError

_VALUES_PER_OCTET = 16


class Description(NamedTuple):
    """A type: its tag, how many elements it has, and the types of the elements."""

    tag: Tag
    size: int = 0
    elements: tuple[Description, ...] = ()


class Contents:
    """Walks the contents of a compact-array with a budget of values, so that none can explode."""

    def __init__(self, octets: bytes, budget: int) -> None:
        self.octets = octets
        self.offset = 0
        self.budget = budget

    def read(self, description: Description) -> Data:
        self.budget -= 1
        if self.budget < 0:
            raise DecodeError("a compact-array unfolds into too many values", self.offset)
        tag = description.tag
        if tag is Tag.ARRAY:
            element = description.elements[0]
            return Data(tag, tuple(self.read(element) for _ in range(description.size)))
        if tag is Tag.STRUCTURE:
            return Data(tag, tuple(self.read(element) for element in description.elements))
        value, self.offset = read_contents(tag, self.octets, self.offset)
        return Data(tag, value)


def budget(octets: int) -> int:
    """Return how many values so many octets may unfold into."""
    return min(_VALUES_PER_OCTET * octets, MAX_VALUES)


def read_parts(octets: bytes, offset: int, depth_left: int) -> tuple[Description, bytes, int]:
    """Read a compact-array behind its tag; return type, contents and the offset behind them."""
    description, offset = _read_description(octets, offset, depth_left)
    length, offset = read_length(octets, offset)
    raw, offset = read_octets(octets, offset, length)
    return description, raw, offset


def read(octets: bytes, offset: int, depth_left: int, whole: Budget) -> tuple[Data, int]:
    """Read a compact-array behind its tag; return it with the offset behind it."""
    start = offset
    description, raw, offset = read_parts(octets, offset, depth_left)
    allowed = min(budget(offset - start), whole.left)
    contents = Contents(raw, allowed)
    items = []
    while contents.offset < len(raw):
        before = contents.offset
        items.append(contents.read(description))
        if contents.offset == before:
            raise DecodeError("a compact-array of a type without octets", offset)
    whole.spend(allowed - contents.budget, offset)
    return Data(Tag.COMPACT_ARRAY, tuple(items)), offset


def _read_description(octets: bytes, offset: int, depth_left: int) -> tuple[Description, int]:
    tag = read_tag(octets, offset)
    offset += 1
    if tag is Tag.COMPACT_ARRAY or depth_left <= 0:
        raise DecodeError("a compact-array is nested too deep", offset)
    if tag is Tag.ARRAY:
        raw, offset = read_octets(octets, offset, 2)
        element, offset = _read_description(octets, offset, depth_left - 1)
        return Description(tag, int.from_bytes(raw, "big"), (element,)), offset
    if tag is not Tag.STRUCTURE:
        return Description(tag), offset
    count, offset = read_length(octets, offset)
    if count > len(octets) - offset:
        raise DecodeError(f"{count} types announced, {len(octets) - offset} octets left", offset)
    elements = []
    for _ in range(count):
        element, offset = _read_description(octets, offset, depth_left - 1)
        elements.append(element)
    return Description(tag, count, tuple(elements)), offset


def write(data: Data, depth_left: int) -> bytes:
    """Return a compact-array without its tag; the first item tells the type of all."""
    items = data.value
    if not isinstance(items, tuple):
        raise LocalError("a compact-array holds no items")
    description = _describe(items[0], depth_left) if items else Description(Tag.NULL_DATA)
    contents = b"".join(_write_contents(description, item) for item in items)
    if items and not contents:
        raise LocalError("a compact-array cannot hold items of a type without octets")
    return _write_description(description) + write_length(len(contents)) + contents


def _describe(data: Data, depth_left: int) -> Description:
    tag, value = data
    if tag is Tag.COMPACT_ARRAY or depth_left <= 0:
        raise LocalError("a compact-array is nested too deep")
    if not isinstance(value, tuple):
        return Description(tag)
    if tag is Tag.STRUCTURE:
        return Description(
            tag, len(value), tuple(_describe(item, depth_left - 1) for item in value)
        )
    element = _describe(value[0], depth_left - 1) if value else Description(Tag.NULL_DATA)
    return Description(tag, len(value), (element,))


def _write_description(description: Description) -> bytes:
    elements = b"".join(_write_description(element) for element in description.elements)
    if description.tag is Tag.ARRAY:
        if description.size > 0xFFFF:
            raise LocalError("an array in a compact-array holds at most 65535 items")
        return bytes((description.tag,)) + description.size.to_bytes(2, "big") + elements
    if description.tag is Tag.STRUCTURE:
        return bytes((description.tag,)) + write_length(description.size) + elements
    return bytes((description.tag,))


def _write_contents(description: Description, data: Data) -> bytes:
    tag, value = data
    if tag is not description.tag:
        raise LocalError("the items of a compact-array must have one type")
    if not isinstance(value, tuple):
        return write_contents(tag, value)
    if len(value) != description.size:
        raise LocalError("the items of a compact-array must have one size")
    elements = description.elements * len(value) if tag is Tag.ARRAY else description.elements
    return b"".join(
        _write_contents(element, item) for element, item in zip(elements, value, strict=True)
    )
