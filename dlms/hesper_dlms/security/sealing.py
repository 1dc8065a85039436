"""The octets of one ciphered APDU as its security control says (Green Book, 9.2.7.2.4.3).

0x10   the APDU, and the tag over head | APDU
0x20   the APDU encrypted, without a tag
0x30   the APDU encrypted, and the tag over head and ciphertext
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.errors import SecurityError
from hesper_dlms.security import gcm
from hesper_dlms.security.settings import AUTHENTICATED, ENCRYPTED


class Way(NamedTuple):
    """How APDUs with one security control octet are sealed or opened; settings allow it.

    `head` is authenticated before the APDU; empty where no tag is made or can be verified. It holds
    the authentication key, so it never shows in repr.
    """

    key: gcm.GcmKey
    control: int
    head: bytes

    def __repr__(self) -> str:
        return f"Way(control=0x{self.control:02X})"


def seal_by(way: Way, iv: bytes, apdu: bytes) -> bytes:
    """Return the APDU as it travels: encrypted, with a tag, or both."""
    if not way.control & AUTHENTICATED:
        return way.key.crypt_unauthenticated(iv, apdu)
    if way.control & ENCRYPTED:
        return way.key.seal(iv, apdu, way.head)
    return apdu + way.key.authenticate(iv, way.head + apdu)


def open_by(way: Way, iv: bytes, octets: bytes) -> tuple[bytes, bool]:
    """Return the plain APDU and whether its tag was verified; SecurityError if that is wrong."""
    key, control, head = way
    if head and control & ENCRYPTED:
        return key.open(iv, octets, head), True
    if not control & AUTHENTICATED:
        return key.crypt_unauthenticated(iv, octets), False
    if len(octets) < gcm.TAG_OCTETS:
        raise SecurityError("the tag is missing")
    body, tag = octets[: -gcm.TAG_OCTETS], octets[-gcm.TAG_OCTETS :]
    if head:
        key.check(iv, tag, head + body)
        return body, True
    return (key.crypt_unauthenticated(iv, body) if control & ENCRYPTED else body), False
