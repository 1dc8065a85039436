"""Whole A-XDR values: decode and encode, nested types included."""

from __future__ import annotations

import struct

from hesper_dlms.axdr import compact
from hesper_dlms.axdr.data import Data, Tag
from hesper_dlms.axdr.octets import (
    FIXED,
    Budget,
    read_contents,
    read_length,
    read_tag,
    write_contents,
    write_length,
)
from hesper_dlms.errors import DecodeError, LocalError

MAX_DEPTH = 16
"""Nesting of arrays and structures beyond which a value is refused."""

_FIXED_BY_OCTET = {
    tag.value: (tag, fixed.unpack_from, fixed.size + 1) for tag, fixed in FIXED.items()
}


def decode(octets: bytes) -> Data:
    """Decode one value that fills `octets` completely.

    Raises:
        DecodeError: The octets are no A-XDR value, hold too many, or more follow behind it.
    """
    data, offset = _read(octets, 0, 0, Budget())
    if offset != len(octets):
        raise DecodeError(f"{len(octets) - offset} octets too many behind the value", offset)
    return data


def decode_prefix(octets: bytes, offset: int = 0, budget: Budget | None = None) -> tuple[Data, int]:
    """Decode the value that starts at `offset`; return it with the offset behind it.

    Args:
        octets: Of which it is a part.
        offset: Where it starts.
        budget: Of the whole, where a whole is decoded in parts.

    Raises:
        DecodeError: See `decode`.
    """
    return _read(octets, offset, 0, budget or Budget())


def _read(octets: bytes, offset: int, depth: int, budget: Budget) -> tuple[Data, int]:
    fixed = _FIXED_BY_OCTET.get(octets[offset]) if offset < len(octets) else None
    if fixed is not None:
        tag, unpack_from, size = fixed
        try:
            return Data(tag, unpack_from(octets, offset + 1)[0]), offset + size
        except struct.error:
            raise DecodeError(f"{tag.name.lower()} is cut short", offset) from None
    tag = read_tag(octets, offset)
    if tag in (Tag.ARRAY, Tag.STRUCTURE):
        return _read_items(tag, octets, offset + 1, depth, budget)
    if tag is Tag.COMPACT_ARRAY:
        return compact.read(octets, offset + 1, MAX_DEPTH - depth, budget)
    value, end = read_contents(tag, octets, offset + 1)
    return Data(tag, value), end


def _read_items(
    tag: Tag, octets: bytes, offset: int, depth: int, budget: Budget
) -> tuple[Data, int]:
    if depth >= MAX_DEPTH:
        raise DecodeError(f"nested deeper than {MAX_DEPTH}", offset)
    count, offset = read_length(octets, offset)
    if count > len(octets) - offset:
        raise DecodeError(f"{count} items announced, {len(octets) - offset} octets left", offset)
    budget.spend(count, offset)
    items = []
    for _ in range(count):
        item, offset = _read(octets, offset, depth + 1, budget)
        items.append(item)
    return Data(tag, tuple(items)), offset


def encode(data: Data) -> bytes:
    """Encode one value with its tag.

    Raises:
        LocalError: A value does not fit its tag, or nesting is deeper than 16.
    """
    parts: list[bytes] = []
    _write(data, parts, 0)
    return b"".join(parts)


def _write(data: Data, parts: list[bytes], depth: int) -> None:
    tag, value = data
    if tag in (Tag.ARRAY, Tag.STRUCTURE):
        if depth >= MAX_DEPTH or not isinstance(value, tuple):
            raise LocalError(f"{tag.name.lower()} is nested too deep or holds no items")
        parts.append(bytes((tag,)) + write_length(len(value)))
        for item in value:
            _write(item, parts, depth + 1)
    elif tag is Tag.COMPACT_ARRAY:
        parts.append(bytes((tag,)) + compact.write(data, MAX_DEPTH - depth))
    else:
        parts.append(bytes((tag,)) + write_contents(tag, value))
