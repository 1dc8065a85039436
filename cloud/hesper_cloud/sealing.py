"""Sealed boxes: a password travels to the authority through a database it does not own.

Theory of operation. The sender makes a fresh X25519 key pair, derives a key from the shared secret
and both public keys (HKDF-SHA256, RFC 5869) and encrypts with ChaCha20-Poly1305 (RFC 8439). The
key serves one message, so the nonce is zero. The context (what the secret is for) is
authenticated: a box copied into another request does not open. Octets: public key (32) · box.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_DOMAIN = b"hesper sealed request v1\x00"
_KEY_LENGTH = 32
_NONCE = bytes(12)


class SealBroken(Exception):
    """The box was not made for this key and context."""


class Sealer:
    """Seals secrets to the authority's public key."""

    def __init__(self, public_key: bytes) -> None:
        self._public_key = public_key

    @classmethod
    def load(cls, path: Path) -> "Sealer":
        """Reads a public-key file: 64 hex digits."""
        return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))

    def seal(self, secret: str, context: str) -> bytes:
        """Returns the box of ``secret``, good only for ``context``."""
        ephemeral = X25519PrivateKey.generate()
        own = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._public_key))
        cipher = _cipher(shared, own, self._public_key)
        return own + cipher.encrypt(_NONCE, secret.encode("utf-8"), context.encode("utf-8"))


class Opener:
    """Opens what was sealed to its key, which it never shows."""

    def __init__(self, private_key: X25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()

    @classmethod
    def load(cls, path: Path) -> "Opener":
        """Reads a private-key file: 64 hex digits."""
        octets = bytes.fromhex(path.read_text(encoding="ascii").strip())
        return cls(X25519PrivateKey.from_private_bytes(octets))

    def open(self, box: bytes, context: str) -> str:
        """Returns the secret.

        Raises:
            SealBroken: another key, another context, or octets changed.
        """
        try:
            sender = X25519PublicKey.from_public_bytes(box[:_KEY_LENGTH])
            cipher = _cipher(self._private_key.exchange(sender), box[:_KEY_LENGTH], self.public_key)
            return cipher.decrypt(_NONCE, box[_KEY_LENGTH:], context.encode("utf-8")).decode(
                "utf-8"
            )
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the sealed password does not belong to this request") from error


def _cipher(shared: bytes, sender: bytes, receiver: bytes) -> ChaCha20Poly1305:
    info = _DOMAIN + sender + receiver
    return ChaCha20Poly1305(HKDF(SHA256(), _KEY_LENGTH, salt=None, info=info).derive(shared))
