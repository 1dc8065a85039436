"""Key pairs of suites 1 and 2: ECDSA and ECDH on P-256 and P-384 (Green Book, 9.2.3.4).

    suite   curve   hash      public key   signature
    1       P-256   SHA-256   64 octets    64 octets
    2       P-384   SHA-384   96 octets    96 octets

On the wire a public key is x | y and a signature r | s, each half as long as the curve's field, not
DER (BSI TR-03111 calls it the plain format). ECDSA takes a fresh random number for every signature
from the operating system, through `cryptography`. Its asymmetric part is imported at first use, so
that clients without certificates stay lean.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hesper_dlms.errors import LocalError, SecurityError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

_COORDINATE_OCTETS = {1: 32, 2: 48}
_SUITES = {"secp256r1": 1, "secp384r1": 2}
_UNCOMPRESSED = b"\x04"
_KEPT_KEYS = 256


def coordinate_octets(suite: int) -> int:
    """Return the octets of one coordinate; LocalError for a suite without key pairs."""
    if suite not in _COORDINATE_OCTETS:
        raise LocalError(f"security suite {suite} has no key pairs")
    return _COORDINATE_OCTETS[suite]


def _curve(suite: int) -> ec.EllipticCurve:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.SECP256R1() if suite == 1 else ec.SECP384R1()


def _hash(suite: int) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256() if suite == 1 else hashes.SHA384()


@lru_cache(maxsize=_KEPT_KEYS)
def _load_public(suite: int, octets: bytes) -> ec.EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_curve(suite), _UNCOMPRESSED + octets)
    except ValueError:
        raise SecurityError("a public key is not a point on the suite's curve") from None


class PublicKey:
    """A public key; `octets` is x | y. It never changes.

    Raises:
        SecurityError: Of the wrong length. Not on the curve: at first use.
    """

    __slots__ = ("octets", "suite")

    def __init__(self, suite: int, octets: bytes) -> None:
        if len(octets) != 2 * coordinate_octets(suite):
            raise SecurityError(f"a public key of {len(octets)} octets is not of this suite")
        self.suite = suite
        self.octets = octets

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"PublicKey({self.suite}, {self.octets.hex()})"

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise SecurityError unless `signature` (r | s) over `message` was made with this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        size = coordinate_octets(self.suite)
        if len(signature) != 2 * size:
            raise SecurityError(f"a signature of {len(signature)} octets is not of this suite")
        r, s = (int.from_bytes(half, "big") for half in (signature[:size], signature[size:]))
        try:
            _load_public(self.suite, self.octets).verify(
                utils.encode_dss_signature(r, s), message, ec.ECDSA(_hash(self.suite))
            )
        except InvalidSignature:
            raise SecurityError("the signature is wrong: altered octets or another key") from None

    def loaded(self) -> ec.EllipticCurvePublicKey:
        """Return the key as `cryptography` takes it; SecurityError when it is not on the curve."""
        return _load_public(self.suite, self.octets)


class PrivateKey:
    """A private key and its public half; the private half never shows in repr.

    Make one with `generate`, `from_scalar` or `from_pem`.
    """

    __slots__ = ("_key", "public", "suite")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        suite = _SUITES.get(key.curve.name)
        if suite is None:
            raise LocalError(f"curve {key.curve.name} belongs to no security suite")
        self._key = key
        self.suite = suite
        self.public = public_key_of(key.public_key())

    def __repr__(self) -> str:
        return f"PrivateKey(suite={self.suite}, public={self.public.octets.hex()})"

    @classmethod
    def generate(cls, suite: int) -> PrivateKey:
        """Return a new key."""
        from cryptography.hazmat.primitives.asymmetric import ec

        coordinate_octets(suite)
        return cls(ec.generate_private_key(_curve(suite)))

    @classmethod
    def from_scalar(cls, suite: int, octets: bytes) -> PrivateKey:
        """Return the key whose number `octets` are."""
        from cryptography.hazmat.primitives.asymmetric import ec

        if len(octets) != coordinate_octets(suite):
            raise LocalError(f"a private key of {len(octets)} octets is not of suite {suite}")
        try:
            return cls(ec.derive_private_key(int.from_bytes(octets, "big"), _curve(suite)))
        except ValueError:
            raise LocalError("the private key is out of range") from None

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> PrivateKey:
        """Return the key of a PEM file (PKCS #8 or SEC 1); LocalError when there is none."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise LocalError("no private key can be read from this PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise LocalError("the private key is not one of an elliptic curve")
        return cls(key)

    def to_pem(self, password: bytes | None = None) -> bytes:
        """Return the key as PEM (PKCS #8), encrypted when a password is given."""
        from cryptography.hazmat.primitives import serialization

        encryption = (
            serialization.NoEncryption()
            if password is None
            else serialization.BestAvailableEncryption(password)
        )
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`, r | s."""
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        size = coordinate_octets(self.suite)
        der = self._key.sign(message, ec.ECDSA(_hash(self.suite)))
        return b"".join(part.to_bytes(size, "big") for part in utils.decode_dss_signature(der))

    def agree(self, public: PublicKey) -> bytes:
        """Return the shared secret Z, the x of the common point (SP 800-56A, 5.7.1.2).

        Raises:
            SecurityError: The other key is of another curve, or no point of it.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        if public.suite != self.suite:
            raise SecurityError("the two keys are of different security suites")
        return self._key.exchange(ec.ECDH(), public.loaded())

    def loaded(self) -> ec.EllipticCurvePrivateKey:
        """Return the key as `cryptography` takes it, for certificates."""
        return self._key


def public_key_of(key: ec.EllipticCurvePublicKey) -> PublicKey:
    """Return a key of `cryptography` as ours; SecurityError when its curve is of no suite."""
    from cryptography.hazmat.primitives import serialization

    suite = _SUITES.get(key.curve.name)
    if suite is None:
        raise SecurityError(f"curve {key.curve.name} belongs to no security suite")
    point = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return PublicKey(suite, point[1:])


class PeerKeys(NamedTuple):
    """What is known of the other side; None where it has no such key, or it is not known."""

    signing: PublicKey | None = None
    agreement: PublicKey | None = None


class Authority(Protocol):
    """Who knows which keys belong to a system title."""

    def keys_of(self, system_title: bytes, certificate: bytes | None) -> PeerKeys:
        """Return the keys of `system_title`.

        Args:
            system_title: 8 octets.
            certificate: What the peer sent in its AARQ or AARE (X.509, DER); None when nothing.

        Raises:
            SecurityError: The certificate is not to be trusted.
        """
        ...
