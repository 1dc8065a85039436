"""AARQ 0x60: the client asks for an association (IEC 62056-5-3, clause 7.2.3)."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu.acse import (
    ApplicationContext,
    Mechanism,
    context_name,
    field,
    inner,
    mechanism_name,
    optional_inner,
    read_fields,
    read_integer,
    read_name,
)
from hesper_dlms.apdu.writer import u8
from hesper_dlms.errors import DecodeError

AARQ = 0x60


class Aarq(NamedTuple):
    """The request. `authentication_value` is the password (LLS) or the client's challenge (HLS).

    It never shows in repr. `user_information` holds the InitiateRequest, plain or ciphered;
    `certificate` (calling-AE-qualifier) the client's signing certificate, X.509 in DER; `user_id`
    (calling-AE-invocation-id) says who uses the client.
    """

    application_context: int
    user_information: bytes
    mechanism: int = Mechanism.LOWEST
    authentication_value: bytes | None = None
    system_title: bytes | None = None
    user_id: int | None = None
    certificate: bytes | None = None

    def __repr__(self) -> str:
        title = None if self.system_title is None else self.system_title.hex()
        return (
            f"Aarq(context={self.application_context}, mechanism={self.mechanism}, "
            f"system_title={title}, user_information={len(self.user_information)} octets)"
        )

    @property
    def ciphered(self) -> bool:
        """Whether the application context lets APDUs be ciphered."""
        return self.application_context in (
            ApplicationContext.LOGICAL_NAME_CIPHERED,
            ApplicationContext.SHORT_NAME_CIPHERED,
        )

    def to_octets(self) -> bytes:
        """Return the APDU."""
        parts = [context_name(self.application_context)]
        if self.system_title is not None:
            parts.append(field(0xA6, field(0x04, self.system_title)))
        if self.certificate is not None:
            parts.append(field(0xA7, field(0x04, self.certificate)))
        if self.user_id is not None:
            parts.append(field(0xA9, field(0x02, u8(self.user_id))))
        if self.mechanism != Mechanism.LOWEST:
            parts += b"\x8a\x02\x07\x80", mechanism_name(0x8B, self.mechanism)
            parts.append(field(0xAC, field(0x80, self.authentication_value or b"")))
        parts.append(field(0xBE, field(0x04, self.user_information)))
        return field(AARQ, b"".join(parts))

    @classmethod
    def from_octets(cls, octets: bytes) -> Aarq:
        """Read the APDU; DecodeError without a DLMS context or without user-information."""
        fields = read_fields(octets, AARQ)
        if 0xA1 not in fields or 0xBE not in fields:
            raise DecodeError("an AARQ needs an application context and user-information")
        return cls(
            read_name(inner(fields[0xA1], 0x06), 1),
            inner(fields[0xBE], 0x04),
            read_name(fields.get(0x8B), 2),
            optional_inner(fields, 0xAC, 0x80),
            optional_inner(fields, 0xA6, 0x04),
            read_integer(fields[0xA9]) & 0xFF if 0xA9 in fields else None,
            optional_inner(fields, 0xA7, 0x04),
        )
