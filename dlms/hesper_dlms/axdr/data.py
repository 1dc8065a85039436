"""The COSEM `Data` type (IEC 62056-5-3, clause 8): tags, value and one constructor per type."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hesper_dlms.errors import DecodeError


class Tag(IntEnum):
    """The tags of the `Data` CHOICE."""

    NULL_DATA = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    DOUBLE_LONG = 5
    DOUBLE_LONG_UNSIGNED = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INTEGER = 15
    LONG = 16
    UNSIGNED = 17
    LONG_UNSIGNED = 18
    COMPACT_ARRAY = 19
    LONG64 = 20
    LONG64_UNSIGNED = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DELTA_INTEGER = 28
    DELTA_LONG = 29
    DELTA_DOUBLE_LONG = 30
    DELTA_UNSIGNED = 31
    DELTA_LONG_UNSIGNED = 32
    DELTA_DOUBLE_LONG_UNSIGNED = 33
    DONT_CARE = 255


class BitString(str):
    """A bit-string as text of 0 and 1, first bit first."""

    __slots__ = ()


class Data(NamedTuple):
    """One COSEM value with its tag.

    `value` by tag: None for null-data; tuple of Data for array, structure and compact-array; int
    for every integer and enum; bool; float; bytes for octet-string, date-time (12), date (5) and
    time (4); str for visible-string and utf8-string; BitString.
    """

    tag: Tag
    value: Value

    def as_int(self) -> int:
        """Return the integer (or enum, or boolean as 0/1); DecodeError for any other type."""
        if isinstance(self.value, int):
            return int(self.value)
        raise DecodeError(f"an integer was expected, not {self.tag.name.lower()}")

    def as_octets(self) -> bytes:
        """Return the octets of an octet-string, date-time, date or time (or of a text)."""
        if isinstance(self.value, bytes):
            return self.value
        if isinstance(self.value, str) and not isinstance(self.value, BitString):
            return self.value.encode(
                "utf-8" if self.tag is Tag.UTF8_STRING else "latin-1", "replace"
            )
        raise DecodeError(f"an octet-string was expected, not {self.tag.name.lower()}")

    def as_text(self) -> str:
        """Return a text; octets are read as ASCII, others than ASCII are escaped."""
        if isinstance(self.value, str):
            return str(self.value)
        return self.as_octets().decode("ascii", "backslashreplace")

    def as_items(self) -> tuple[Data, ...]:
        """Return the items of an array, structure or compact-array."""
        if isinstance(self.value, tuple):
            return self.value
        raise DecodeError(f"an array or structure was expected, not {self.tag.name.lower()}")


Value = None | bool | int | float | str | bytes | tuple[Data, ...]


def null_data() -> Data:
    """Return null-data."""
    return Data(Tag.NULL_DATA, None)


def boolean(value: bool) -> Data:
    """Return a boolean."""
    return Data(Tag.BOOLEAN, value)


def bit_string(bits: str) -> Data:
    """Return a bit-string from text of 0 and 1, first bit first."""
    return Data(Tag.BIT_STRING, BitString(bits))


def double_long(value: int) -> Data:
    """Return a signed integer of 32 bits."""
    return Data(Tag.DOUBLE_LONG, value)


def double_long_unsigned(value: int) -> Data:
    """Return an unsigned integer of 32 bits."""
    return Data(Tag.DOUBLE_LONG_UNSIGNED, value)


def octet_string(value: bytes) -> Data:
    """Return an octet-string."""
    return Data(Tag.OCTET_STRING, bytes(value))


def visible_string(value: str) -> Data:
    """Return a visible-string (ISO 646; Latin-1 is let through)."""
    return Data(Tag.VISIBLE_STRING, value)


def utf8_string(value: str) -> Data:
    """Return a utf8-string."""
    return Data(Tag.UTF8_STRING, value)


def integer(value: int) -> Data:
    """Return a signed integer of 8 bits."""
    return Data(Tag.INTEGER, value)


def long_(value: int) -> Data:
    """Return a signed integer of 16 bits."""
    return Data(Tag.LONG, value)


def unsigned(value: int) -> Data:
    """Return an unsigned integer of 8 bits."""
    return Data(Tag.UNSIGNED, value)


def long_unsigned(value: int) -> Data:
    """Return an unsigned integer of 16 bits."""
    return Data(Tag.LONG_UNSIGNED, value)


def long64(value: int) -> Data:
    """Return a signed integer of 64 bits."""
    return Data(Tag.LONG64, value)


def long64_unsigned(value: int) -> Data:
    """Return an unsigned integer of 64 bits."""
    return Data(Tag.LONG64_UNSIGNED, value)


def enum(value: int) -> Data:
    """Return an enum (0 … 255)."""
    return Data(Tag.ENUM, value)


def float32(value: float) -> Data:
    """Return an IEEE 754 float of 32 bits."""
    return Data(Tag.FLOAT32, value)


def float64(value: float) -> Data:
    """Return an IEEE 754 float of 64 bits."""
    return Data(Tag.FLOAT64, value)


def date_time(value: bytes) -> Data:
    """Return a date-time from its 12 octets."""
    return Data(Tag.DATE_TIME, bytes(value))


def structure(*items: Data) -> Data:
    """Return a structure."""
    return Data(Tag.STRUCTURE, items)


def array(*items: Data) -> Data:
    """Return an array."""
    return Data(Tag.ARRAY, items)


def compact_array(*items: Data) -> Data:
    """Return a compact-array; every item must have the same type as the first."""
    return Data(Tag.COMPACT_ARRAY, items)
