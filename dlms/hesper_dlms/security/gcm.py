"""AES-GCM as DLMS uses it (Green Book, 9.2.3.3; NIST SP 800-38D): tags of 12 octets.

The nonce is the sender's system title (8 octets) and its invocation counter (4).

Two ways to the same octets. `Cipher` makes and checks tags of 12 octets, but costs 6 µs to set up
for each APDU. `AESGCM` is set up once for a key and then costs 0.9 µs, but knows only tags of 16
octets: a tag of 12 is its beginning (SP 800-38D, 7.1, step 6). To open an APDU with it, counter
mode is run over the ciphertext, the tag that the plaintext should have is computed, and nothing is
given out before the two agree in constant time: 1.9 µs. Two passes lose where APDUs are long.

What computes is imported with the first key: it takes 20 ms and 10 MB (a library and two OpenSSLs),
which clients without keys, and meters that nobody ciphers with, need not spend.
"""

from __future__ import annotations

from hesper_dlms.errors import LocalError, SecurityError

TAG_OCTETS = 12
SYSTEM_TITLE_OCTETS = 8
LAST_COUNTER = 0xFFFFFFFF
_FULL_TAG_OCTETS = 16
_TAG_REST = TAG_OCTETS - _FULL_TAG_OCTETS
_TWO_PASSES_UP_TO = 16_384
"""Octets; measured: two passes of `AESGCM` cost what one of `Cipher` does at about this length."""
_WRONG_TAG = "the tag is wrong: altered octets or another key"


def nonce(system_title: bytes, invocation_counter: int) -> bytes:
    """Return the 12 octets of the nonce; LocalError when a part is out of range."""
    if len(system_title) != SYSTEM_TITLE_OCTETS:
        raise LocalError(f"a system title has 8 octets, not {len(system_title)}")
    if not 0 <= invocation_counter <= LAST_COUNTER:
        raise LocalError(f"invocation counter {invocation_counter} does not fit 32 bits")
    return system_title + invocation_counter.to_bytes(4, "big")


class GcmKey:
    """One AES key, set up once and used for many APDUs; it never shows in repr.

    Args:
        key: 16 or 32 octets.
    """

    __slots__ = ("_aead", "_key", "_same", "fingerprint")

    def __init__(self, key: bytes) -> None:
        import hashlib
        import hmac

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key = key
        self._same = hmac.compare_digest
        self._aead = AESGCM(key)
        self.fingerprint = hashlib.sha256(key).digest()[:8]

    def seal(self, iv: bytes, plaintext: bytes, authenticated: bytes) -> bytes:
        """Return ciphertext and tag."""
        return self._aead.encrypt(iv, plaintext, authenticated)[:_TAG_REST]

    def open(self, iv: bytes, octets: bytes, authenticated: bytes) -> bytes:
        """Return the plaintext of ciphertext and tag; SecurityError when the tag is wrong."""
        if len(octets) < TAG_OCTETS:
            raise SecurityError("the tag is missing")
        ciphertext, tag = octets[:-TAG_OCTETS], octets[-TAG_OCTETS:]
        if len(octets) > _TWO_PASSES_UP_TO:
            return self._open_long(iv, ciphertext, tag, authenticated)
        encrypt = self._aead.encrypt
        plaintext = encrypt(iv, ciphertext, authenticated)[:-_FULL_TAG_OCTETS]
        right = encrypt(iv, plaintext, authenticated)[-_FULL_TAG_OCTETS:_TAG_REST]
        if not self._same(right, tag):
            raise SecurityError(_WRONG_TAG)
        return plaintext

    def _open_long(self, iv: bytes, ciphertext: bytes, tag: bytes, authenticated: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import GCM

        decryptor = Cipher(AES(self._key), GCM(iv, tag, TAG_OCTETS)).decryptor()
        decryptor.authenticate_additional_data(authenticated)
        try:
            return decryptor.update(ciphertext) + decryptor.finalize()
        except InvalidTag:
            raise SecurityError(_WRONG_TAG) from None

    def authenticate(self, iv: bytes, authenticated: bytes) -> bytes:
        """Return the tag alone (GMAC)."""
        return self._aead.encrypt(iv, b"", authenticated)[:TAG_OCTETS]

    def crypt_unauthenticated(self, iv: bytes, octets: bytes) -> bytes:
        """Encrypt or decrypt without a tag: counter mode inside GCM, from its second block on."""
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import CTR

        encryptor = Cipher(AES(self._key), CTR(iv + b"\x00\x00\x00\x02")).encryptor()
        return encryptor.update(octets) + encryptor.finalize()

    def check(self, iv: bytes, tag: bytes, authenticated: bytes) -> None:
        """Raise SecurityError unless `tag` is the GMAC of `authenticated`."""
        if not self._same(self.authenticate(iv, authenticated), tag):
            raise SecurityError(_WRONG_TAG)


def seal(key: bytes, iv: bytes, plaintext: bytes, authenticated: bytes) -> bytes:
    """Return ciphertext and tag, for a key that is used once."""
    return GcmKey(key).seal(iv, plaintext, authenticated)


def open_sealed(key: bytes, iv: bytes, octets: bytes, authenticated: bytes) -> bytes:
    """Return the plaintext of ciphertext and tag; SecurityError when the tag is wrong."""
    return GcmKey(key).open(iv, octets, authenticated)


def authenticate(key: bytes, iv: bytes, authenticated: bytes) -> bytes:
    """Return the tag alone (GMAC), for a key that is used once."""
    return GcmKey(key).authenticate(iv, authenticated)


def check(key: bytes, iv: bytes, tag: bytes, authenticated: bytes) -> None:
    """Raise SecurityError unless `tag` is the GMAC of `authenticated`."""
    GcmKey(key).check(iv, tag, authenticated)
