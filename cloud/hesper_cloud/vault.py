"""Secrets at rest: each under a key of its own, which one master key outside the database wraps.

Theory of operation. A secret is encrypted with AES-256-GCM under a fresh data key; the data key is
encrypted in the same way under the master key (envelope encryption, NIST SP 800-38D for the mode).
Both authenticate the context, so that a row moved to another gateway or version does not open. A
database, or a backup of it, is of no use without the master key's file. Octets of a box: nonce
(12), ciphertext with its tag (16).
"""

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS = 32
_NONCE_OCTETS = 12


class VaultBroken(Exception):
    """Encrypted with another master key, of another place, or altered."""


@dataclass(frozen=True, slots=True)
class Locked:
    """What a database may hold: the wrapped data key, and what it locks."""

    wrapped_key: bytes
    box: bytes


class Vault:
    """Locks and unlocks with the master key, which it never shows."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_OCTETS:
            raise ValueError(f"a master key has {KEY_OCTETS} octets")
        self._master = AESGCM(master_key)

    def lock(self, secret: bytes, context: str) -> Locked:
        """Returns a secret locked under a data key of its own, good only for ``context``."""
        data_key, bound = AESGCM.generate_key(bit_length=256), context.encode()
        return Locked(
            _encrypted(self._master, data_key, b"key " + bound),
            _encrypted(AESGCM(data_key), secret, b"secret " + bound),
        )

    def unlock(self, locked: Locked, context: str) -> bytes:
        """Returns the secret.

        Raises:
            VaultBroken: another master key, another context, or octets changed.
        """
        bound = context.encode()
        try:
            data_key = _decrypted(self._master, locked.wrapped_key, b"key " + bound)
            return _decrypted(AESGCM(data_key), locked.box, b"secret " + bound)
        except (InvalidTag, ValueError):
            raise VaultBroken("what is kept does not open with this master key") from None


def _encrypted(cipher: AESGCM, octets: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    return nonce + cipher.encrypt(nonce, octets, bound)


def _decrypted(cipher: AESGCM, box: bytes, bound: bytes) -> bytes:
    return cipher.decrypt(box[:_NONCE_OCTETS], box[_NONCE_OCTETS:], bound)
