"""Secrets at rest: each under a key of its own, which one master key outside the database wraps.

Theory of operation. A secret is encrypted with AES-256-GCM under a fresh data key; the data key is
encrypted in the same way under the master key (envelope encryption, NIST SP 800-38D for the mode).
Both authenticate the context, so that a row moved to another gateway or version does not open. A
database, or a backup of it, is of no use without the master key's file. Octets of a box: nonce
(12), ciphertext with its tag (16).

The file has one master key a line. The first locks; the others, there while a rotation is under
way, open what it has not reached yet. It is read at each use, so a process that runs follows a
rotation without being told.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_OCTETS = 32
_NONCE_OCTETS = 12


class VaultBroken(Exception):
    """Encrypted with another master key, of another place, or altered."""


@dataclass(frozen=True, slots=True)
class Locked:
    """What a database may hold: the wrapped data key, what it locks, and by which master key."""

    wrapped_key: bytes
    box: bytes
    master: str = ""
    """The name of the master key, where it was just locked."""


class Vault:
    """Locks and unlocks with master keys, which it never shows."""

    def __init__(self, masters: Callable[[], Sequence[bytes]]) -> None:
        """Takes what reads the master keys, the one that locks first; it is asked at each use."""
        self._masters = masters

    @classmethod
    def of(cls, *masters: bytes) -> "Vault":
        """Returns the vault of these master keys."""
        checked = _checked(masters)
        return cls(lambda: checked)

    @classmethod
    def of_file(cls, path: Path) -> "Vault":
        """Returns the vault of a file of master keys, 64 hex digits a line.

        Raises:
            VaultBroken: there is none, or it holds something else.
        """
        read_masters(path)
        return cls(lambda: read_masters(path))

    @property
    def master(self) -> str:
        """The name of the master key that locks now."""
        return name_of(self._masters()[0])

    def lock(self, secret: bytes, context: str) -> Locked:
        """Returns a secret locked under a data key of its own, good only for ``context``."""
        data_key = AESGCM.generate_key(bit_length=256)
        box = _encrypted(AESGCM(data_key), secret, b"secret " + context.encode())
        return _wrapped(self._masters()[0], data_key, box, context)

    def unlock(self, locked: Locked, context: str) -> bytes:
        """Returns the secret.

        Raises:
            VaultBroken: another master key, another context, or octets changed.
        """
        for master in self._masters():
            data_key = _opened(master, locked.wrapped_key, b"key " + context.encode())
            secret = data_key and _opened(data_key, locked.box, b"secret " + context.encode())
            if secret is not None:
                return secret
        raise VaultBroken("what is kept does not open with this master key")

    def rewrapped(self, locked: Locked, context: str) -> Locked | None:
        """Returns the same under the master key that locks now; None when it is already.

        Raises:
            VaultBroken: no master key opens it.
        """
        newest, *older = self._masters()
        bound = b"key " + context.encode()
        if _opened(newest, locked.wrapped_key, bound) is not None:
            return None
        for master in older:
            data_key = _opened(master, locked.wrapped_key, bound)
            if data_key is not None:
                return _wrapped(newest, data_key, locked.box, context)
        raise VaultBroken("what is kept opens with none of the master keys")


def read_masters(path: Path) -> tuple[bytes, ...]:
    """Returns the master keys of a file, the one that locks first.

    Raises:
        VaultBroken: there is none, or it holds something else; the text repeats nothing of it.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
        return _checked(tuple(bytes.fromhex(line) for line in lines))
    except OSError as error:
        raise VaultBroken(f"{path}: {error.strerror}") from None
    except ValueError:
        raise VaultBroken(f"{path}: expected {KEY_OCTETS} octets in hex, a key a line") from None


def name_of(master_key: bytes) -> str:
    """Returns the name of a master key, which tells nothing of it."""
    return hashlib.sha256(b"hesper master key\x00" + master_key).hexdigest()[:16]


def _wrapped(master: bytes, data_key: bytes, box: bytes, context: str) -> Locked:
    wrapped_key = _encrypted(AESGCM(master), data_key, b"key " + context.encode())
    return Locked(wrapped_key, box, name_of(master))


def _checked(masters: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if not masters or any(len(each) != KEY_OCTETS for each in masters):
        raise ValueError(f"a master key has {KEY_OCTETS} octets")
    return masters


def _encrypted(cipher: AESGCM, octets: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    return nonce + cipher.encrypt(nonce, octets, bound)


def _opened(key: bytes, box: bytes, bound: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(box[:_NONCE_OCTETS], box[_NONCE_OCTETS:], bound)
    except (InvalidTag, ValueError):
        return None
