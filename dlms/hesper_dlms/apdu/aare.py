"""AARE 0x61: the server's answer to an AARQ (IEC 62056-5-3, clause 7.2.4).

A rejection may come without user-information and without an application context.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu.acse import (
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
from hesper_dlms.errors import AssociationRejected, DecodeError

AARE = 0x61

ACCEPTED = 0
REJECTED_PERMANENT = 1
REJECTED_TRANSIENT = 2

NO_REASON_GIVEN = 1
CONTEXT_NOT_SUPPORTED = 2
MECHANISM_NOT_RECOGNISED = 11
MECHANISM_REQUIRED = 12
AUTHENTICATION_FAILURE = 13
AUTHENTICATION_REQUIRED = 14


class Aare(NamedTuple):
    """The answer. `authentication_value` is the server's challenge (HLS).

    `diagnostic` is acse-service-user's, or acse-service-provider's when `from_provider`.
    `user_information` holds the InitiateResponse or a confirmed-service-error, plain or ciphered;
    `certificate` (responding-AE-qualifier) the server's signing certificate, X.509 in DER.
    """

    application_context: int
    result: int = ACCEPTED
    diagnostic: int = 0
    user_information: bytes | None = None
    mechanism: int = Mechanism.LOWEST
    authentication_value: bytes | None = None
    system_title: bytes | None = None
    from_provider: bool = False
    certificate: bytes | None = None

    @property
    def needs_challenge(self) -> bool:
        """Whether the association is open only after the exchange of challenges (HLS)."""
        return self.mechanism > Mechanism.LOW

    def check(self) -> None:
        """Raise AssociationRejected unless the association was accepted."""
        if self.result != ACCEPTED:
            raise AssociationRejected(self.result, self.diagnostic)

    def to_octets(self) -> bytes:
        """Return the APDU."""
        source = 0xA2 if self.from_provider else 0xA1
        parts = [
            context_name(self.application_context),
            field(0xA2, field(0x02, u8(self.result))),
            field(0xA3, field(source, field(0x02, u8(self.diagnostic)))),
        ]
        if self.system_title is not None:
            parts.append(field(0xA4, field(0x04, self.system_title)))
        if self.certificate is not None:
            parts.append(field(0xA5, field(0x04, self.certificate)))
        if self.mechanism > Mechanism.LOW:
            parts += b"\x88\x02\x07\x80", mechanism_name(0x89, self.mechanism)
            parts.append(field(0xAA, field(0x80, self.authentication_value or b"")))
        if self.user_information is not None:
            parts.append(field(0xBE, field(0x04, self.user_information)))
        return field(AARE, b"".join(parts))

    @classmethod
    def from_octets(cls, octets: bytes) -> Aare:
        """Read the APDU; DecodeError when it does not say whether it accepts."""
        fields = read_fields(octets, AARE)
        if 0xA2 not in fields:
            raise DecodeError("an AARE without a result")
        diagnostic = fields.get(0xA3, b"\xa1\x03\x02\x01\x00")
        from_provider = diagnostic[:1] == b"\xa2"
        return cls(
            read_name(optional_inner(fields, 0xA1, 0x06), 1),
            read_integer(fields[0xA2]),
            read_integer(inner(diagnostic, 0xA2 if from_provider else 0xA1)),
            optional_inner(fields, 0xBE, 0x04),
            read_name(fields.get(0x89), 2),
            optional_inner(fields, 0xAA, 0x80),
            optional_inner(fields, 0xA4, 0x04),
            from_provider,
            optional_inner(fields, 0xA5, 0x04),
        )
