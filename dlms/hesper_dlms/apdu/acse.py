"""BER fields and names that the association APDUs share (IEC 62056-5-3, clause 7; ISO 8650-1)."""

from __future__ import annotations

from enum import IntEnum

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8
from hesper_dlms.association import Referencing
from hesper_dlms.errors import DecodeError

_DLMS_UA = bytes.fromhex("6085740508")
"""joint-iso-ccitt(2) country(16) country-name(756) identified-organisation(5) DLMS-UA(8)."""


class ApplicationContext(IntEnum):
    """application-context-name: referencing and whether APDUs may be ciphered."""

    LOGICAL_NAME = 1
    SHORT_NAME = 2
    LOGICAL_NAME_CIPHERED = 3
    SHORT_NAME_CIPHERED = 4

    @classmethod
    def of(cls, referencing: Referencing, ciphered: bool) -> ApplicationContext:
        """Return the context of one kind of association."""
        if referencing is Referencing.SHORT_NAME:
            return cls.SHORT_NAME_CIPHERED if ciphered else cls.SHORT_NAME
        return cls.LOGICAL_NAME_CIPHERED if ciphered else cls.LOGICAL_NAME


class Mechanism(IntEnum):
    """authentication-mechanism-name."""

    LOWEST = 0
    LOW = 1
    HIGH = 2
    HIGH_MD5 = 3
    HIGH_SHA1 = 4
    HIGH_GMAC = 5
    HIGH_SHA256 = 6
    HIGH_ECDSA = 7


Fields = dict[int, bytes]
"""BER tag → contents of one APDU's fields; the last wins when a tag comes twice."""


def field(tag: int, contents: bytes) -> bytes:
    """Return one BER field."""
    return u8(tag) + axdr.write_length(len(contents)) + contents


def read_fields(octets: bytes, tag: int) -> Fields:
    """Read the fields of the association APDU that `octets` hold and that begins with `tag`."""
    outer = Reader(octets, tag)
    reader = Reader(outer.octet_string())
    outer.end()
    fields: Fields = {}
    while reader.offset < len(reader.octets):
        field_tag = reader.u8()
        fields[field_tag] = reader.octet_string()
    return fields


def inner(contents: bytes, tag: int) -> bytes:
    """Return the contents of the one BER field `tag` inside `contents`."""
    reader = Reader(contents, tag)
    value = reader.octet_string()
    reader.end()
    return value


def optional_inner(fields: Fields, outer: int, tag: int) -> bytes | None:
    """Return what `inner` does for a field that may be absent."""
    return inner(fields[outer], tag) if outer in fields else None


def context_name(context: int) -> bytes:
    """Return the object identifier of an application context, inside its field 0xA1."""
    return field(0xA1, field(0x06, _DLMS_UA + u8(1, context)))


def mechanism_name(tag: int, mechanism: int) -> bytes:
    """Return the object identifier of an authentication mechanism in field `tag`."""
    return field(tag, _DLMS_UA + u8(2, mechanism))


def read_name(octets: bytes | None, arc: int) -> int:
    """Return the last number of an object identifier of DLMS-UA; 0 when it is absent.

    Args:
        octets: The object identifier.
        arc: 1 for application contexts, 2 for mechanisms.
    """
    if octets is None:
        return 0
    if len(octets) != 7 or octets[:6] != _DLMS_UA + u8(arc):
        raise DecodeError(f"object identifier {octets.hex()} is not one of DLMS")
    return octets[6]


def read_integer(contents: bytes) -> int:
    """Return the BER INTEGER in `contents`: 0 to 255, as all of these fields are."""
    return small_integer(inner(contents, 0x02))


def small_integer(octets: bytes) -> int:
    """Return the integer whose contents are `octets`; DecodeError above 255.

    Numbers from 128 on are written in one octet by many, which BER would read as negative.
    """
    value = int.from_bytes(octets, "big")
    if value > 0xFF:
        raise DecodeError(f"{value} is out of range where 0 to 255 is defined")
    return value
