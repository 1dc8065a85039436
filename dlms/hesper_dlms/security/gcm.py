"""AES-GCM as DLMS uses it (Green Book, 9.2.3.3; NIST SP 800-38D): tags of 12 octets.

The nonce is the sender's system title (8 octets) and its invocation counter (4). `AESGCM` of the
cryptography package cannot make tags of 12 octets, `Cipher` can.
"""

from __future__ import annotations

import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM

from hesper_dlms.errors import LocalError, SecurityError

TAG_OCTETS = 12
SYSTEM_TITLE_OCTETS = 8
LAST_COUNTER = 0xFFFFFFFF


def nonce(system_title: bytes, invocation_counter: int) -> bytes:
    """Return the 12 octets of the nonce; LocalError when a part is out of range."""
    if len(system_title) != SYSTEM_TITLE_OCTETS:
        raise LocalError(f"a system title has 8 octets, not {len(system_title)}")
    if not 0 <= invocation_counter <= LAST_COUNTER:
        raise LocalError(f"invocation counter {invocation_counter} does not fit 32 bits")
    return system_title + invocation_counter.to_bytes(4, "big")


def seal(key: bytes, iv: bytes, plaintext: bytes, authenticated: bytes) -> bytes:
    """Return ciphertext and tag."""
    encryptor = Cipher(AES(key), GCM(iv, None, TAG_OCTETS)).encryptor()
    encryptor.authenticate_additional_data(authenticated)
    return encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag[:TAG_OCTETS]


def open_sealed(key: bytes, iv: bytes, octets: bytes, authenticated: bytes) -> bytes:
    """Return the plaintext of ciphertext and tag; SecurityError when the tag is wrong."""
    if len(octets) < TAG_OCTETS:
        raise SecurityError("the tag is missing")
    ciphertext, tag = octets[:-TAG_OCTETS], octets[-TAG_OCTETS:]
    decryptor = Cipher(AES(key), GCM(iv, tag, TAG_OCTETS)).decryptor()
    decryptor.authenticate_additional_data(authenticated)
    try:
        return decryptor.update(ciphertext) + decryptor.finalize()
    except InvalidTag:
        raise SecurityError("the tag is wrong: altered octets or another key") from None


def authenticate(key: bytes, iv: bytes, authenticated: bytes) -> bytes:
    """Return the tag alone (GMAC)."""
    return seal(key, iv, b"", authenticated)


def check(key: bytes, iv: bytes, tag: bytes, authenticated: bytes) -> None:
    """Raise SecurityError unless `tag` is the GMAC of `authenticated`."""
    if not hmac.compare_digest(authenticate(key, iv, authenticated), tag):
        raise SecurityError("the tag is wrong: altered octets or another key")


def crypt_unauthenticated(key: bytes, iv: bytes, octets: bytes) -> bytes:
    """Encrypt or decrypt without a tag: the counter mode inside GCM, from its second block on."""
    encryptor = Cipher(AES(key), CTR(iv + b"\x00\x00\x00\x02")).encryptor()
    return encryptor.update(octets) + encryptor.finalize()
