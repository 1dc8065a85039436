"""RLRQ 0x62 and RLRE 0x63: the association ends (IEC 62056-5-3, clause 7.2.5)."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu.acse import field, optional_inner, read_fields, small_integer
from hesper_dlms.apdu.writer import u8

RLRQ = 0x62
RLRE = 0x63


def _write(tag: int, reason: int | None, user_information: bytes | None) -> bytes:
    contents = b"" if reason is None else field(0x80, u8(reason))
    if user_information is not None:
        contents += field(0xBE, field(0x04, user_information))
    return field(tag, contents)


def _read(octets: bytes, tag: int) -> tuple[int | None, bytes | None]:
    fields = read_fields(octets, tag)
    reason = small_integer(fields[0x80]) if 0x80 in fields else None
    return reason, optional_inner(fields, 0xBE, 0x04)


class Rlrq(NamedTuple):
    """The request; when ciphered, `user_information` holds a ciphered InitiateRequest."""

    reason: int | None = 0
    user_information: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return _write(RLRQ, self.reason, self.user_information)

    @classmethod
    def from_octets(cls, octets: bytes) -> Rlrq:
        """Read the APDU."""
        return cls(*_read(octets, RLRQ))


class Rlre(NamedTuple):
    """The answer."""

    reason: int | None = 0
    user_information: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return _write(RLRE, self.reason, self.user_information)

    @classmethod
    def from_octets(cls, octets: bytes) -> Rlre:
        """Read the APDU."""
        return cls(*_read(octets, RLRE))
