"""InitiateRequest 0x01 and InitiateResponse 0x08: what an association agrees on (IEC 62056-5-3)."""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u16
from hesper_dlms.errors import DecodeError

INITIATE_REQUEST = 0x01
INITIATE_RESPONSE = 0x08
DLMS_VERSION = 6
VAA_LOGICAL_NAMES = 0x0007
"""vaa-name of logical-name referencing."""

VAA_SHORT_NAMES = 0xFA00
"""vaa-name of short-name referencing: the base name of the current association object."""

_CONFORMANCE_TAG = b"\x5f\x1f\x04\x00"
_CONFORMANCE_TAG_OLD = b"\x5f\x04\x00"


class Conformance(IntFlag):
    """The conformance block: 24 bits, the standard's bit 0 is the highest here."""

    GENERAL_PROTECTION = 1 << 22
    GENERAL_BLOCK_TRANSFER = 1 << 21
    READ = 1 << 20
    WRITE = 1 << 19
    UNCONFIRMED_WRITE = 1 << 18
    DELTA_VALUE_ENCODING = 1 << 17
    ATTRIBUTE_0_WITH_SET = 1 << 15
    PRIORITY_MANAGEMENT = 1 << 14
    ATTRIBUTE_0_WITH_GET = 1 << 13
    BLOCK_TRANSFER_WITH_GET = 1 << 12
    BLOCK_TRANSFER_WITH_SET = 1 << 11
    BLOCK_TRANSFER_WITH_ACTION = 1 << 10
    MULTIPLE_REFERENCES = 1 << 9
    INFORMATION_REPORT = 1 << 8
    DATA_NOTIFICATION = 1 << 7
    ACCESS = 1 << 6
    PARAMETERIZED_ACCESS = 1 << 5
    GET = 1 << 4
    SET = 1 << 3
    SELECTIVE_ACCESS = 1 << 2
    EVENT_NOTIFICATION = 1 << 1
    ACTION = 1 << 0


LOGICAL_NAME_SERVICES = (
    Conformance.PRIORITY_MANAGEMENT
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.EVENT_NOTIFICATION
    | Conformance.ACTION
)
"""What a client of this stack proposes with logical names unless it is told to propose more."""

ALL_LOGICAL_NAME_SERVICES = (
    LOGICAL_NAME_SERVICES
    | Conformance.GENERAL_PROTECTION
    | Conformance.GENERAL_BLOCK_TRANSFER
    | Conformance.DATA_NOTIFICATION
    | Conformance.ACCESS
)
"""Everything that this stack can do with logical names: what a server grants."""

SHORT_NAME_SERVICES = (
    Conformance.READ
    | Conformance.WRITE
    | Conformance.UNCONFIRMED_WRITE
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.INFORMATION_REPORT
    | Conformance.PARAMETERIZED_ACCESS
)
"""What this stack offers with short-name referencing; block transfer is with read and write."""


def _write_conformance(conformance: Conformance) -> bytes:
    return _CONFORMANCE_TAG + int(conformance & 0xFFFFFF).to_bytes(3, "big")


def _read_conformance(reader: Reader) -> Conformance:
    at = reader.offset
    old = reader.octets[at : at + 3] == _CONFORMANCE_TAG_OLD
    expected = _CONFORMANCE_TAG_OLD if old else _CONFORMANCE_TAG
    if reader.take(len(expected)) != expected:
        raise DecodeError("the conformance block is missing", at)
    return Conformance(int.from_bytes(reader.take(3), "big"))


class InitiateRequest(NamedTuple):
    """What the client proposes. The dedicated key is a secret: it never shows in repr."""

    conformance: Conformance = LOGICAL_NAME_SERVICES
    max_receive_pdu_size: int = 0xFFFF
    dedicated_key: bytes | None = None
    response_allowed: bool = True
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION

    def __repr__(self) -> str:
        key = "none" if self.dedicated_key is None else "present"
        return (
            f"InitiateRequest({self.conformance!r}, max_receive_pdu_size="
            f"{self.max_receive_pdu_size}, dedicated_key={key}, version={self.dlms_version})"
        )

    def to_octets(self) -> bytes:
        """Return the APDU."""
        key, quality = self.dedicated_key, self.quality_of_service
        return b"".join(
            (
                bytes((INITIATE_REQUEST,)),
                b"\x00" if key is None else b"\x01" + axdr.write_length(len(key)) + key,
                b"\x00" if self.response_allowed else b"\x01\x00",
                b"\x00" if quality is None else u8(1, quality),
                u8(self.dlms_version),
                _write_conformance(self.conformance),
                u16(self.max_receive_pdu_size),
            )
        )

    @classmethod
    def from_octets(cls, octets: bytes) -> InitiateRequest:
        """Read the APDU."""
        reader = Reader(octets, INITIATE_REQUEST)
        key = reader.octet_string() if reader.flag() else None
        response_allowed = not reader.flag() or reader.flag()
        quality = reader.u8() if reader.flag() else None
        version = reader.u8()
        conformance, size = _read_conformance(reader), reader.u16()
        reader.end()
        return cls(conformance, size, key, response_allowed, quality, version)


class InitiateResponse(NamedTuple):
    """What the server grants. `max_receive_pdu_size` 0 means no limit."""

    conformance: Conformance
    max_receive_pdu_size: int
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION
    vaa_name: int = VAA_LOGICAL_NAMES

    def to_octets(self) -> bytes:
        """Return the APDU."""
        quality = self.quality_of_service
        return b"".join(
            (
                bytes((INITIATE_RESPONSE,)),
                b"\x00" if quality is None else u8(1, quality),
                u8(self.dlms_version),
                _write_conformance(self.conformance),
                u16(self.max_receive_pdu_size),
                u16(self.vaa_name),
            )
        )

    @classmethod
    def from_octets(cls, octets: bytes) -> InitiateResponse:
        """Read the APDU."""
        reader = Reader(octets, INITIATE_RESPONSE)
        quality = reader.u8() if reader.flag() else None
        version = reader.u8()
        conformance, size, vaa_name = _read_conformance(reader), reader.u16(), reader.u16()
        reader.end()
        return cls(conformance, size, quality, version, vaa_name)
