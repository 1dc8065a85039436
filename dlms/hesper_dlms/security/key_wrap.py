"""AES key wrap (RFC 3394; Green Book, 9.2.3.3.8): a key travels under the master key."""

from __future__ import annotations

from hesper_dlms.errors import LocalError, SecurityError

WRAP_OVERHEAD = 8
_KEK_OCTETS = (16, 24, 32)


def wrap(kek: bytes, key: bytes) -> bytes:
    """Return `key` wrapped: 8 octets longer."""
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap

    if len(kek) not in _KEK_OCTETS or len(key) < 16 or len(key) % 8:
        raise LocalError("a key of at least 16 octets is wrapped with one of 16, 24 or 32 octets")
    return aes_key_wrap(kek, key)


def unwrap(kek: bytes, wrapped: bytes) -> bytes:
    """Return the key inside; SecurityError when it was altered or wrapped with another key."""
    from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

    if len(kek) not in _KEK_OCTETS:
        raise LocalError("a key-encrypting key has 16, 24 or 32 octets")
    try:
        return aes_key_unwrap(kek, wrapped)
    except (InvalidUnwrap, ValueError):
        raise SecurityError("a wrapped key was altered, or wrapped with another key") from None
