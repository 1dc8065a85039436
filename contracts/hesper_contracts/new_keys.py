"""New keys of a meter, sealed so that only its gateway can read them, and for one command only.

Theory of operation
-------------------
Whoever changes keys seals them with the gateway's public key, the one that its signatures are
checked with; nothing else need be exchanged. On Montgomery's form of the same curve (RFC 7748,
4.1: u = (1 + y) / (1 - y)) that key serves for X25519. A box is made so:

    ephemeral public key (32) · AES-256-GCM of the keys, with its tag (16)
    key   = HKDF-SHA-256 (RFC 5869) of X25519(ephemeral, gateway), info = domain, both public keys
    nonce = zeros: an ephemeral key seals once
    authenticated with it: gateway, meter and command id, so that no box fits another command
"""

import hashlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hesper_contracts import jsonbody
from hesper_contracts.frame import Refused

_DOMAIN = b"hesper/v1 new keys\x00"
_PRIME = 2**255 - 19
_PUBLIC_OCTETS = 32
_NONCE = bytes(12)
_LENGTHS = (16, 32)
BOX_MAX = 512


class NewKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that take the place of others, global unicast; what is left out stays.

    A new master key comes only with a new encryption key, which proves that both were taken.
    """

    encryption_key: bytes | None = None
    authentication_key: bytes | None = None
    master_key: bytes | None = None

    def __repr__(self) -> str:
        return "NewKeys(…)"

    def __post_init__(self) -> None:
        given = [self.encryption_key, self.authentication_key, self.master_key]
        keys = [key for key in given if key is not None]
        if self.encryption_key is None and self.authentication_key is None:
            raise ValueError("neither an encryption nor an authentication key")
        if self.encryption_key is None and self.master_key is not None:
            raise ValueError("a master key without an encryption key cannot be proven")
        if len(keys[0]) not in _LENGTHS or len({len(key) for key in keys}) != 1:
            raise ValueError("keys have 16 octets, or 32 in suite 2")
        if len(set(keys)) != len(keys):
            raise ValueError("a key is there twice")


class Recipient(msgspec.Struct, frozen=True):
    """The command that a box belongs to."""

    gateway: str
    meter: str
    command_id: str

    @property
    def octets(self) -> bytes:
        """What is authenticated; names hold no zero octet."""
        return f"{self.gateway}\x00{self.meter}\x00{self.command_id}".encode()


def seal(keys: NewKeys, recipient: Recipient, gateway_key: bytes) -> bytes:
    """Return the box of new keys.

    Args:
        keys: The keys.
        recipient: The command that will carry the box.
        gateway_key: The Ed25519 public key that the gateway signs results with.

    Raises:
        Refused: no such public key.
    """
    public, ephemeral = _montgomery(gateway_key), X25519PrivateKey.generate()
    ours = ephemeral.public_key().public_bytes_raw()
    key = _key(ephemeral, public, ours + public)
    return ours + AESGCM(key).encrypt(_NONCE, jsonbody.encode(keys), recipient.octets)


class Opener:
    """Opens the boxes of one gateway; made from the seed of its signing key, never shown."""

    def __init__(self, seed: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
        self._public = self._private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "Opener(…)"

    def open(self, box: bytes, recipient: Recipient) -> NewKeys:
        """Return the keys in a box.

        Raises:
            Refused: sealed for another gateway or command, altered, or no keys.
        """
        theirs, sealed = box[:_PUBLIC_OCTETS], box[_PUBLIC_OCTETS:]
        try:
            key = _key(self._private, theirs, theirs + self._public)
            octets = AESGCM(key).decrypt(_NONCE, sealed, recipient.octets)
        except (InvalidTag, ValueError):
            raise Refused("the keys are not sealed for this gateway and this command") from None
        try:
            return msgspec.json.decode(octets, type=NewKeys)
        except msgspec.DecodeError:  # its text could repeat a key
            raise Refused("what is sealed are no keys that fit together") from None


def _montgomery(ed25519_key: bytes) -> bytes:
    if len(ed25519_key) != _PUBLIC_OCTETS:
        raise Refused("an Ed25519 public key has 32 octets")
    y = int.from_bytes(ed25519_key, "little") & ((1 << 255) - 1)
    if y >= _PRIME or y == 1:
        raise Refused("no point of the curve that keys are made of")
    return ((1 + y) * pow(1 - y, -1, _PRIME) % _PRIME).to_bytes(_PUBLIC_OCTETS, "little")


def _key(private: X25519PrivateKey, public: bytes, info: bytes) -> bytes:
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(hashes.SHA256(), 32, None, _DOMAIN + info).derive(shared)
