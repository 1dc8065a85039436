"""How one APDU is protected on its way out, and how a received one was (Green Book, 9.2.7.2).

    form                 key                                     tag
    SERVICE_SPECIFIC     global or dedicated                     glo-…, ded-…
    GENERAL              global or dedicated                     DB, DC
    GENERAL_CIPHERING    named, wrapped or agreed in the APDU    DD

A digital signature (general-signing, DF) goes inside the ciphering, which is what the standard
calls normal (9.2.7.3: sign first, then cipher), outside of it, or stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from hesper_dlms.errors import LocalError
from hesper_dlms.security.key_pairs import coordinate_octets

_GENERAL_OVERHEAD = 96
"""Octets of titles, transaction-id, lengths, and a wrapped key or an algorithm's name."""


class Form(Enum):
    """Which kind of ciphered APDU."""

    SERVICE_SPECIFIC = auto()
    GENERAL = auto()
    GENERAL_CIPHERING = auto()
    NONE = auto()
    """Not ciphered: a signature alone."""


class KeyEstablishment(Enum):
    """Where the key of a general-ciphering APDU comes from (Green Book, table Key-Info)."""

    IDENTIFIED = auto()
    """A global key, by its number."""
    WRAPPED = auto()
    """A new random key, wrapped with the master key."""
    ONE_PASS = auto()
    """C(1e, 1s): an ephemeral key of ours, signed, and the peer's static key."""
    STATIC = auto()
    """C(0e, 2s): the static keys of both, and the transaction-id as nonce."""


class Signature(Enum):
    """Whether an APDU is signed, and before or after it is ciphered."""

    NONE = auto()
    INSIDE = auto()
    OUTSIDE = auto()


@dataclass(frozen=True, slots=True)
class Protection:
    """How one APDU is protected.

    Args:
        form: Which ciphered APDU carries it.
        dedicated: With the dedicated key instead of the global one.
        broadcast: With the global broadcast key.
        key: Where the key comes from, in general-ciphering.
        signature: Whether it is signed, and where.
        policy: Security control bits; None for those of the settings.
        transaction_id: In general-ciphering and general-signing; None makes one of the invocation
            counter. An answer repeats its request's.
        content_length_signed: Whether a signature covers the length of its content too, as the
            standard's figure of general-signing says; some implementations leave it out.
    """

    form: Form = Form.SERVICE_SPECIFIC
    dedicated: bool = False
    broadcast: bool = False
    key: KeyEstablishment = KeyEstablishment.IDENTIFIED
    signature: Signature = Signature.NONE
    policy: int | None = None
    transaction_id: bytes | None = None
    content_length_signed: bool = True

    def overhead(self, suite: int) -> int:
        """Return how many octets an APDU may grow by beyond those of plain ciphering."""
        pair = 0 if not suite else 4 * coordinate_octets(suite)
        general = _GENERAL_OVERHEAD + pair if self.form is Form.GENERAL_CIPHERING else 0
        signed = _GENERAL_OVERHEAD + pair // 2 if self.signature is not Signature.NONE else 0
        return general + signed

    def __post_init__(self) -> None:
        if self.form is Form.NONE and self.signature is Signature.NONE:
            raise LocalError("neither ciphered nor signed is no protection")
        if self.dedicated and (self.broadcast or self.form is Form.GENERAL_CIPHERING):
            raise LocalError("the dedicated key is for the dedicated forms alone")
