"""Ed25519 signatures over exact octets (RFC 8032).

A signed section is: length of the key id (1) · key id (ASCII) · signature (64) · body. The
signature covers a domain prefix, everything before the section (header, and batch identity where
there is one), the key id and the body: no signed body can move to another kind, batch or key.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hesper_contracts import durable
from hesper_contracts.frame import Refused
from hesper_contracts.new_keys import Opener

_DOMAIN = b"hesper/v1 signed\x00"
SIGNATURE_LENGTH = 64


class Forged(Refused):
    """A signature that does not hold or a key that is not trusted: distrust the sender."""


def key_id(public_key: bytes) -> str:
    """Return the name of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


class Signer:
    """Signs with one private key, which it never shows."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def __repr__(self) -> str:
        return f"Signer(key_id={self.key_id!r})"

    @classmethod
    def generate(cls) -> "Signer":
        """Return a signer with a fresh key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Read a key file: the 32-octet seed as 64 hex digits."""
        seed = bytes.fromhex(path.read_text(encoding="ascii").strip())
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def save(self, path: Path) -> None:
        """Write the key file, readable by its owner alone; an existing file is never replaced."""
        durable.write_new(path, f"{self._private_key.private_bytes_raw().hex()}\n".encode("ascii"))

    def opener(self) -> Opener:
        """Return what opens boxes of keys that are sealed with our public key."""
        return Opener(self._private_key.private_bytes_raw())

    def sign(self, prefix: bytes, body: bytes) -> bytes:
        """Return prefix and signed section, ready to publish."""
        name = self.key_id.encode("ascii")
        signature = self._private_key.sign(_message(prefix, name, body))
        return prefix + bytes([len(name)]) + name + signature + body


class Keyring:
    """The public keys that one reader trusts for one purpose, by key id."""

    def __init__(self, public_keys: Mapping[str, bytes]) -> None:
        self._keys = {
            name: Ed25519PublicKey.from_public_bytes(octets) for name, octets in public_keys.items()
        }

    def __repr__(self) -> str:
        return f"Keyring({sorted(self._keys)})"

    @classmethod
    def of(cls, *public_keys: bytes) -> "Keyring":
        """Return a keyring of raw public keys (32 octets each)."""
        return cls({key_id(octets): octets for octets in public_keys})

    def verify(self, prefix: bytes, section: bytes) -> bytes:
        """Return the body of a signed section whose signature holds.

        Raises:
            Forged: unknown key id, wrong signature, or a section cut off.
        """
        body_start = 1 + (section[0] if section else 0) + SIGNATURE_LENGTH
        if len(section) < body_start:
            raise Forged("signed section cut off")
        name = section[1 : body_start - SIGNATURE_LENGTH]
        key = self._keys.get(name.decode("ascii", "replace"))
        if key is None:
            raise Forged(f"signed by unknown key {name[:32]!r}")
        signature, body = section[body_start - SIGNATURE_LENGTH : body_start], section[body_start:]
        try:
            key.verify(signature, _message(prefix, name, body))
        except InvalidSignature:
            raise Forged(f"signature by key {name.decode('ascii')} does not hold") from None
        return body


def body_of(section: bytes) -> bytes:
    """Return the body of a signed section that was verified before; checks nothing.

    Raises:
        Forged: a section cut off.
    """
    body_start = 1 + (section[0] if section else 0) + SIGNATURE_LENGTH
    if len(section) < body_start:
        raise Forged("signed section cut off")
    return section[body_start:]


def _message(prefix: bytes, name: bytes, body: bytes) -> bytes:
    return _DOMAIN + prefix + bytes([len(name)]) + name + body
