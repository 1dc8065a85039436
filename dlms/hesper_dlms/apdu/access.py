"""ACCESS (IEC 62056-5-3, 8.4.9): access-request 0xD9 and access-response 0xDA.

One request reads, writes and invokes in the order of its list. Specifications and data travel in
two lists of the same length: what a read has no data for, and a method without parameters, carries
null-data. The response has one result and one datum for each.

    long-invoke-id-and-priority   bits 0-23 number, 28 self-descriptive, 29 break on error,
                                  30 confirmed, 31 high priority
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.descriptors import (
    AccessSelection,
    CosemAttribute,
    CosemMethod,
)
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u32, write_values
from hesper_dlms.errors import DecodeError, LocalError

REQUEST = 0xD9
RESPONSE = 0xDA

LONG_INVOKE_IDS = 1 << 24
SELF_DESCRIPTIVE = 1 << 28
BREAK_ON_ERROR = 1 << 29
CONFIRMED = 1 << 30
HIGH_PRIORITY = 1 << 31

NULL_DATA = b"\x00"


class AccessKind(IntEnum):
    """What was done, as the response numbers it."""

    GET = 1
    SET = 2
    ACTION = 3


_GET_WITH_SELECTION = 4
_SET_WITH_SELECTION = 5


class AccessRequestGet(NamedTuple):
    """Reads an attribute, or what a selection takes of it."""

    attribute: CosemAttribute
    selection: AccessSelection | None = None


class AccessRequestSet(NamedTuple):
    """Writes an attribute, or what a selection takes of it."""

    attribute: CosemAttribute
    selection: AccessSelection | None = None


class AccessRequestAction(NamedTuple):
    """Invokes a method."""

    method: CosemMethod


AccessRequestSpecification = AccessRequestGet | AccessRequestSet | AccessRequestAction


class AccessResult(NamedTuple):
    """access-response-specification: a data-access-result, or for ACTION an action-result."""

    kind: AccessKind
    result: int


def kind_of(specification: AccessRequestSpecification) -> AccessKind:
    """Return the kind that a specification's result must have."""
    if isinstance(specification, AccessRequestGet):
        return AccessKind.GET
    return AccessKind.SET if isinstance(specification, AccessRequestSet) else AccessKind.ACTION


def _write_specification(specification: AccessRequestSpecification) -> bytes:
    kind = kind_of(specification)
    if isinstance(specification, AccessRequestAction):
        return u8(kind) + specification.method.to_octets()
    name, selection = specification.attribute.to_octets(), specification.selection
    if selection is None:
        return u8(kind) + name
    choice = _GET_WITH_SELECTION if kind is AccessKind.GET else _SET_WITH_SELECTION
    head = u8(choice) + name + u8(selection.selector)
    return head + axdr.encode(selection.parameters)


def _read_specification(reader: Reader) -> AccessRequestSpecification:
    choice = reader.u8()
    if choice == AccessKind.ACTION:
        return AccessRequestAction(CosemMethod.read(reader))
    if not AccessKind.GET <= choice <= _SET_WITH_SELECTION:
        raise DecodeError(f"access-request-specification {choice} is not defined", reader.offset)
    attribute, selection = CosemAttribute.read(reader), None
    if choice in (_GET_WITH_SELECTION, _SET_WITH_SELECTION):
        selection = AccessSelection(reader.u8(), reader.data())
    if choice in (AccessKind.GET, _GET_WITH_SELECTION):
        return AccessRequestGet(attribute, selection)
    return AccessRequestSet(attribute, selection)


def _write_specifications(specifications: tuple[AccessRequestSpecification, ...]) -> bytes:
    parts = map(_write_specification, specifications)
    return axdr.write_length(len(specifications)) + b"".join(parts)


def _read_specifications(reader: Reader) -> tuple[AccessRequestSpecification, ...]:
    return tuple(_read_specification(reader) for _ in range(reader.count()))


def _write_date_time(date_time: bytes | None) -> bytes:
    octets = date_time or b""
    return axdr.write_length(len(octets)) + octets


class AccessRequest(NamedTuple):
    """A list of reads, writes and calls, and the encoded data of each."""

    long_invoke_id_and_priority: int
    specifications: tuple[AccessRequestSpecification, ...]
    data: tuple[bytes, ...]
    date_time: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        if len(self.specifications) != len(self.data):
            raise LocalError("an access-request has one datum for each specification")
        head = u8(REQUEST) + u32(self.long_invoke_id_and_priority)
        lists = _write_specifications(self.specifications) + write_values(self.data)
        return head + _write_date_time(self.date_time) + lists

    @classmethod
    def from_octets(cls, octets: bytes) -> AccessRequest:
        """Read the APDU."""
        reader = Reader(octets, REQUEST)
        number, date_time = reader.u32(), reader.octet_string()
        specifications, data = _read_specifications(reader), reader.values()
        reader.end()
        if len(specifications) != len(data):
            raise DecodeError(f"{len(specifications)} accesses and {len(data)} data", reader.offset)
        return cls(number, specifications, data, date_time or None)


class AccessResponse(NamedTuple):
    """The data and results of an access-request, in its order.

    `specifications` repeats the request's where that asked for it (self-descriptive).
    """

    long_invoke_id_and_priority: int
    data: tuple[bytes, ...]
    results: tuple[AccessResult, ...]
    specifications: tuple[AccessRequestSpecification, ...] | None = None
    date_time: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE) + u32(self.long_invoke_id_and_priority)
        head += _write_date_time(self.date_time)
        told = self.specifications
        head += b"\x00" if told is None else b"\x01" + _write_specifications(told)
        results = (u8(each.kind, each.result) for each in self.results)
        count = axdr.write_length(len(self.results))
        return b"".join((head, write_values(self.data), count, *results))

    @classmethod
    def from_octets(cls, octets: bytes) -> AccessResponse:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE)
        number, date_time = reader.u32(), reader.octet_string()
        told = _read_specifications(reader) if reader.choice(2) else None
        data = reader.values()
        results = tuple(_read_result(reader) for _ in range(reader.count()))
        reader.end()
        return cls(number, data, results, told, date_time or None)


def _read_result(reader: Reader) -> AccessResult:
    choice = reader.u8()
    if not AccessKind.GET <= choice <= AccessKind.ACTION:
        raise DecodeError(f"access-response-specification {choice} is not defined", reader.offset)
    return AccessResult(AccessKind(choice), reader.u8())
