"""Lengths, tags and the contents of simple types: what both directions of A-XDR are made of."""

from __future__ import annotations

import struct

from hesper_dlms.axdr.data import BitString, Tag, Value
from hesper_dlms.errors import DecodeError, LocalError

FIXED: dict[Tag, struct.Struct] = {
    Tag.DOUBLE_LONG: struct.Struct(">i"),
    Tag.DOUBLE_LONG_UNSIGNED: struct.Struct(">I"),
    Tag.BCD: struct.Struct(">b"),
    Tag.INTEGER: struct.Struct(">b"),
    Tag.LONG: struct.Struct(">h"),
    Tag.UNSIGNED: struct.Struct(">B"),
    Tag.LONG_UNSIGNED: struct.Struct(">H"),
    Tag.LONG64: struct.Struct(">q"),
    Tag.LONG64_UNSIGNED: struct.Struct(">Q"),
    Tag.ENUM: struct.Struct(">B"),
    Tag.FLOAT32: struct.Struct(">f"),
    Tag.FLOAT64: struct.Struct(">d"),
    Tag.DELTA_INTEGER: struct.Struct(">b"),
    Tag.DELTA_LONG: struct.Struct(">h"),
    Tag.DELTA_DOUBLE_LONG: struct.Struct(">i"),
    Tag.DELTA_UNSIGNED: struct.Struct(">B"),
    Tag.DELTA_LONG_UNSIGNED: struct.Struct(">H"),
    Tag.DELTA_DOUBLE_LONG_UNSIGNED: struct.Struct(">I"),
}
SIZED: dict[Tag, int] = {Tag.DATE_TIME: 12, Tag.DATE: 5, Tag.TIME: 4}
_TAGS: dict[int, Tag] = {tag.value: tag for tag in Tag}

MAX_VALUES = 1 << 20
"""Values beyond which no whole is decoded: some 100 MB as objects, and more than any meter has."""


class Budget:
    """How many values of a whole may still be read: a megabyte can tell of 16 million."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def spend(self, count: int, offset: int) -> None:
        """Take values off; DecodeError when there are too many."""
        self.left -= count
        if self.left < 0:
            raise DecodeError(f"more than {MAX_VALUES} values", offset)


def read_length(octets: bytes, offset: int) -> tuple[int, int]:
    """Read a length or count; return it with the offset behind it."""
    try:
        first = octets[offset]
    except IndexError:
        raise DecodeError("a length is missing", offset) from None
    offset += 1
    if first < 0x80:
        return first, offset
    size = first & 0x7F
    if not 1 <= size <= 4 or offset + size > len(octets):
        raise DecodeError(f"length octet 0x{first:02X} cannot be right", offset - 1)
    return int.from_bytes(octets[offset : offset + size], "big"), offset + size


def write_length(length: int) -> bytes:
    """Return the shortest encoding of a length or count."""
    if length < 0x80:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


def read_octets(octets: bytes, offset: int, length: int) -> tuple[bytes, int]:
    """Return `length` octets from `offset` and the offset behind them."""
    end = offset + length
    if end > len(octets):
        raise DecodeError(f"{length} octets announced, {len(octets) - offset} left", offset)
    return octets[offset:end], end


def read_tag(octets: bytes, offset: int) -> Tag:
    """Return the tag at `offset`; DecodeError when there is none of the standard's."""
    try:
        return _TAGS[octets[offset]]
    except IndexError:
        raise DecodeError("a value is missing", offset) from None
    except KeyError:
        raise DecodeError(f"tag 0x{octets[offset]:02X} is not of the standard", offset) from None


def read_contents(tag: Tag, octets: bytes, offset: int) -> tuple[Value, int]:
    """Read the contents of a simple (not nested) type whose tag is already known."""
    fixed = FIXED.get(tag)
    if fixed is not None:
        try:
            value: Value = fixed.unpack_from(octets, offset)[0]
        except struct.error:
            raise DecodeError(f"{tag.name.lower()} is cut short", offset) from None
        return value, offset + fixed.size
    if tag in (Tag.NULL_DATA, Tag.DONT_CARE):
        return None, offset
    if tag is Tag.BOOLEAN:
        octet, offset = read_octets(octets, offset, 1)
        return octet != b"\x00", offset
    if tag in SIZED:
        return read_octets(octets, offset, SIZED[tag])
    length, offset = read_length(octets, offset)
    if tag is Tag.BIT_STRING:
        raw, offset = read_octets(octets, offset, (length + 7) // 8)
        bits = f"{int.from_bytes(raw, 'big'):0{8 * len(raw)}b}"
        return BitString(bits[:length]), offset
    raw, offset = read_octets(octets, offset, length)
    return _string(tag, raw), offset


def _string(tag: Tag, raw: bytes) -> bytes | str:
    if tag is Tag.VISIBLE_STRING:
        return raw.decode("latin-1")
    if tag is Tag.UTF8_STRING:
        return raw.decode("utf-8", "backslashreplace")
    return raw


def write_contents(tag: Tag, value: Value) -> bytes:
    """Return the contents of a simple (not nested) type, without its tag.

    Raises:
        LocalError: The value does not fit the type.
    """
    fixed = FIXED.get(tag)
    try:
        if fixed is not None:
            return fixed.pack(value)
    except (struct.error, OverflowError) as error:
        raise LocalError(f"{value!r} does not fit {tag.name.lower()}: {error}") from None
    if tag in (Tag.NULL_DATA, Tag.DONT_CARE) and value is None:
        return b""
    if tag is Tag.BOOLEAN and isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    if isinstance(value, bytes) and tag is Tag.OCTET_STRING:
        return write_length(len(value)) + value
    if isinstance(value, bytes) and SIZED.get(tag) == len(value):
        return value
    if isinstance(value, str):
        return _write_text(tag, value)
    raise LocalError(f"{value!r} does not fit {tag.name.lower()}")


def _write_text(tag: Tag, value: str) -> bytes:
    try:
        if tag is Tag.BIT_STRING:
            if value.strip("01"):
                raise LocalError(f"{value!r} is no text of 0 and 1")
            padded = value + "0" * (-len(value) % 8)
            return write_length(len(value)) + bytes(
                int(padded[start : start + 8], 2) for start in range(0, len(padded), 8)
            )
        if tag is Tag.VISIBLE_STRING:
            raw = value.encode("latin-1")
        elif tag is Tag.UTF8_STRING:
            raw = value.encode("utf-8")
        else:
            raise LocalError(f"text does not fit {tag.name.lower()}")
    except ValueError as error:
        raise LocalError(f"{value!r} does not fit {tag.name.lower()}: {error}") from None
    return write_length(len(raw)) + raw
