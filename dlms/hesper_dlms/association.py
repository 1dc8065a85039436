"""What client and server share about associations (IEC 62056-5-3, 6.2; Green Book, 9.3, 9.4.2)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Authentication(IntEnum):
    """Authentication mechanisms by their id in AARQ and AARE (Green Book, 9.2.7.4).

    HIGH is the manufacturer's own: the standard says nothing about it but its number.
    """

    NONE = 0
    LOW = 1
    HIGH = 2
    HIGH_MD5 = 3
    HIGH_SHA1 = 4
    HIGH_GMAC = 5
    HIGH_SHA256 = 6
    HIGH_ECDSA = 7

    @property
    def is_high(self) -> bool:
        """Whether challenges are exchanged (HLS)."""
        return self >= Authentication.HIGH

    @property
    def needs_secret(self) -> bool:
        """Whether both sides share a password or secret besides their keys."""
        with_keys = (Authentication.HIGH_GMAC, Authentication.HIGH_ECDSA)
        return self is not Authentication.NONE and self not in with_keys

    @property
    def proves_titles(self) -> bool:
        """Whether the proofs cover the system titles of both sides, so that they must be known."""
        return self >= Authentication.HIGH_GMAC


class Referencing(IntEnum):
    """How attributes and methods are named in an association (Green Book, 9.1.4.3).

    The application context of the AARQ says it: 1 and 3 (ciphered) are logical names, 2 and 4 are
    short names.
    """

    LOGICAL_NAME = 0
    SHORT_NAME = 1


CURRENT_ASSOCIATION: Final = bytes((0, 0, 40, 0, 0, 255))
"""Logical name of the association object that a client is using."""

ASSOCIATION_CLASS: Final = 15
REPLY_TO_HLS: Final = 1
SYSTEM_TITLE_OCTETS: Final = 8

CIPHERING_OVERHEAD: Final = 32
"""Octets that ciphering may add to an APDU: tag, title, lengths, control, counter, tag of GCM."""

LAYERS_OVERHEAD: Final = 576
"""Octets that general-ciphering with an agreed key and a signature may add to that (P-384)."""

BLOCK_OVERHEAD: Final = 13
"""Octets of a request or response around a data block's raw octets."""

FIRST_BLOCK_OVERHEAD: Final = BLOCK_OVERHEAD + 10
"""The same for a first block, which names its attribute or method too."""

MAX_VALUE: Final = 1 << 24
"""A value that arrives in blocks and grows beyond this is given up."""
