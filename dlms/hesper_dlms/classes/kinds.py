"""Kinds: how one value of a record travels (the types that the Blue Book's tables name).

A kind turns `axdr.Data` into a Python value and back. What meters vary is taken: any integer type
whose number fits the declared one, an octet-string or a text, a date-time as octet-string or as
date-time, a compact-array instead of an array. Anything else is a `DecodeError`. Encoding always
writes the declared type, so that `decode(encode(value)) == value`.

Records declare their fields with the names at the end of this module, e.g. `class_id:
LongUnsigned`; `hesper_dlms.classes.structure` reads those declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, ClassVar, Protocol

from hesper_dlms import axdr, obis
from hesper_dlms.axdr import BitString, Data, Tag
from hesper_dlms.classes.identifiers import Ipv4, ObjectIdentifier
from hesper_dlms.cosem_time import CosemDate, CosemDateTime, CosemTime
from hesper_dlms.errors import DecodeError, LocalError

_LIMITS = {
    Tag.INTEGER: (-(1 << 7), (1 << 7) - 1),
    Tag.LONG: (-(1 << 15), (1 << 15) - 1),
    Tag.UNSIGNED: (0, (1 << 8) - 1),
    Tag.LONG_UNSIGNED: (0, (1 << 16) - 1),
    Tag.DOUBLE_LONG: (-(1 << 31), (1 << 31) - 1),
    Tag.DOUBLE_LONG_UNSIGNED: (0, (1 << 32) - 1),
    Tag.ENUM: (0, (1 << 8) - 1),
}


class Kind(Protocol):
    """One type of the tables."""

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        ...

    def decode(self, data: Data) -> Any:
        """Return the value; DecodeError when the data is of another type."""
        ...

    def encode(self, value: Any) -> Data:
        """Return the data; LocalError when the value does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Raw:
    """Any type: the value is the `Data` itself (the tables say CHOICE or instance specific)."""

    name: ClassVar[str] = "CHOICE"

    def decode(self, data: Data) -> Data:
        """Return the data as it is."""
        return data

    def encode(self, value: Any) -> Data:
        """Return the data as it is."""
        if not isinstance(value, Data):
            raise LocalError(f"{value!r} is no Data")
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """An integer or enum; `members` names the numbers that the standard gives a meaning.

    `masked` reads a negative number as the unsigned one of the same width (base names).
    """

    tag: Tag
    members: type[IntEnum] | None = None
    masked: bool = False

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return self.tag.name.lower().replace("_", "-")

    def decode(self, data: Data) -> int:
        """Return the number, as a member where it has a name."""
        number = data.as_int()
        lowest, highest = _LIMITS[self.tag]
        if self.masked and number < 0:
            number &= 0xFFFF
        if not (0 if self.masked else lowest) <= number <= (0xFFFF if self.masked else highest):
            raise DecodeError(f"{number} does not fit {self.name}")
        try:
            return number if self.members is None else self.members(number)
        except ValueError:
            return number

    def encode(self, value: Any) -> Data:
        """Return the number with its tag."""
        if not isinstance(value, int):
            raise LocalError(f"{value!r} is no integer")
        number = int(value)
        if self.masked and number > _LIMITS[self.tag][1]:
            number -= 0x10000
        if not _LIMITS[self.tag][0] <= number <= _LIMITS[self.tag][1]:
            raise LocalError(f"{value} does not fit {self.name}")
        return Data(self.tag, number)


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean; meters also write 0 and 1 as unsigned or enum."""

    name: ClassVar[str] = "boolean"

    def decode(self, data: Data) -> bool:
        """Return whether it is set."""
        number = data.as_int()
        if number not in (0, 1):
            raise DecodeError(f"{number} is no boolean")
        return bool(number)

    def encode(self, value: Any) -> Data:
        """Return the boolean."""
        if not isinstance(value, bool):
            raise LocalError(f"{value!r} is no boolean")
        return axdr.boolean(value)


@dataclass(frozen=True, slots=True)
class OctetString:
    """An octet-string, of `size` octets where a size is given."""

    size: int | None = None

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return "octet-string" if self.size is None else f"octet-string({self.size})"

    def decode(self, data: Data) -> bytes:
        """Return the octets."""
        octets = data.as_octets()
        if self.size is not None and len(octets) != self.size:
            raise DecodeError(f"{self.size} octets were expected, not {len(octets)}")
        return octets

    def encode(self, value: Any) -> Data:
        """Return the octet-string."""
        if not isinstance(value, bytes) or self.size not in (None, len(value)):
            raise LocalError(f"{value!r} is no {self.name}")
        return axdr.octet_string(value)


@dataclass(frozen=True, slots=True)
class VisibleString:
    """A text; meters also write it as octet-string or utf8-string."""

    name: ClassVar[str] = "visible-string"

    def decode(self, data: Data) -> str:
        """Return the text."""
        if data.tag is Tag.OCTET_STRING:
            return data.as_octets().decode("latin-1")
        if data.tag not in (Tag.VISIBLE_STRING, Tag.UTF8_STRING):
            raise DecodeError(f"a text was expected, not {data.tag.name.lower()}")
        return data.as_text()

    def encode(self, value: Any) -> Data:
        """Return a visible-string, a utf8-string where the text needs one."""
        if not isinstance(value, str):
            raise LocalError(f"{value!r} is no text")
        fits = all(ord(letter) < 0x100 for letter in value)
        return axdr.visible_string(value) if fits else axdr.utf8_string(value)


@dataclass(frozen=True, slots=True)
class Bits:
    """A bit-string as text of 0 and 1, first bit first."""

    name: ClassVar[str] = "bit-string"

    def decode(self, data: Data) -> str:
        """Return the bits."""
        if not isinstance(data.value, BitString):
            raise DecodeError(f"a bit-string was expected, not {data.tag.name.lower()}")
        return data.value

    def encode(self, value: Any) -> Data:
        """Return the bit-string."""
        if not isinstance(value, str) or value.strip("01"):
            raise LocalError(f"{value!r} is no text of 0 and 1")
        return axdr.bit_string(value)


_Moment = type[CosemDateTime] | type[CosemDate] | type[CosemTime]
_MOMENTS: dict[_Moment, tuple[Tag, str]] = {
    CosemDateTime: (Tag.DATE_TIME, "date-time"),
    CosemDate: (Tag.DATE, "date"),
    CosemTime: (Tag.TIME, "time"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A date-time, date or time, as the octet-string that the Blue Book asks for nearly always."""

    moment: _Moment

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return f"octet-string ({_MOMENTS[self.moment][1]})"

    def decode(self, data: Data) -> CosemDateTime | CosemDate | CosemTime:
        """Return the fields."""
        if data.tag not in (Tag.OCTET_STRING, _MOMENTS[self.moment][0]):
            raise DecodeError(f"a {self.name} was expected, not {data.tag.name.lower()}")
        return self.moment.from_octets(data.as_octets())

    def encode(self, value: Any) -> Data:
        """Return the octet-string."""
        if not isinstance(value, self.moment):
            raise LocalError(f"{value!r} is no {_MOMENTS[self.moment][1]}")
        return axdr.octet_string(value.to_octets())


@dataclass(frozen=True, slots=True)
class Nullable:
    """A value that may be null-data: None. An empty octet-string stands for none of a moment."""

    kind: Kind

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return f"{self.kind.name} or null-data"

    def decode(self, data: Data) -> Any:
        """Return the value or None."""
        empty = isinstance(self.kind, Moment) and data.value == b""
        return None if data.value is None or empty else self.kind.decode(data)

    def encode(self, value: Any) -> Data:
        """Return the value's data or null-data."""
        return axdr.null_data() if value is None else self.kind.encode(value)


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array: a tuple of values of one kind."""

    element: Kind

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return f"array of {self.element.name}"

    def decode(self, data: Data) -> tuple[Any, ...]:
        """Return the values."""
        if data.tag not in (Tag.ARRAY, Tag.COMPACT_ARRAY, Tag.NULL_DATA):
            raise DecodeError(f"an array was expected, not {data.tag.name.lower()}")
        items = () if data.value is None else data.as_items()
        return tuple(self.element.decode(item) for item in items)

    def encode(self, value: Any) -> Data:
        """Return the array."""
        if not isinstance(value, tuple | list):
            raise LocalError(f"{value!r} is no {self.name}")
        return axdr.array(*(self.element.encode(item) for item in value))


Integer = Annotated[int, Number(Tag.INTEGER)]
Long = Annotated[int, Number(Tag.LONG)]
Unsigned = Annotated[int, Number(Tag.UNSIGNED)]
LongUnsigned = Annotated[int, Number(Tag.LONG_UNSIGNED)]
DoubleLong = Annotated[int, Number(Tag.DOUBLE_LONG)]
DoubleLongUnsigned = Annotated[int, Number(Tag.DOUBLE_LONG_UNSIGNED)]
Enum = Annotated[int, Number(Tag.ENUM)]
BaseName = Annotated[int, Number(Tag.LONG, masked=True)]
Boolean = Annotated[bool, Flag()]
Octets = Annotated[bytes, OctetString()]
Text = Annotated[str, VisibleString()]
BitText = Annotated[str, Bits()]
LogicalName = Annotated[obis.LogicalName, OctetString(6)]
Oid = Annotated[tuple[int, ...], ObjectIdentifier()]
IpAddress = Annotated[IPv4Address, Ipv4()]
