"""How a device comes under a gateway's name: the token, what the device asks, what is answered.

Theory of operation
-------------------
An operator makes a token at the head end and carries it to the device. It is one line of text:
``hesper1.<gateway>.<secret>.<fingerprint>``: 32 random octets that serve once, and the SHA-256 of
the head end's command key, both in base64url without padding. So the device knows which name it is
to bear and whom it talks to, and neither side needs to know anything of the other before.

The device makes two key pairs, Ed25519 to sign with and X25519 to be sealed to, and asks: both
public keys, the name and the secret's SHA-256, signed with the first (`Ask`). The secret itself
travels beside it, inside TLS, to the one process that settles it.

The answer (`Answer`) shows the public half of the command key, is signed with it, and names the ask
by its digest, so that the answer to another ask never fits. What is secret in it, the configuration
and the broker's password, is a box that only the X25519 key opens:

    ephemeral public key (32) · AES-256-GCM, with its tag (16)
    key   = HKDF-SHA-256 (RFC 5869) of X25519(ephemeral, device), info = domain, both public keys
    nonce = zeros: an ephemeral key seals once
    authenticated with it: the digest of the ask

Both signatures are those of `signing`, with a prefix of their own in the place of the header of a
payload, which no payload begins with.

An ask may carry a certificate signing request (PKCS#10, RFC 2986) for a third key, with which the
device will show itself to the broker, and the device's serial number; the answer then carries the
certificate with its chain. Fields that are not used do not travel, so either side may be older.
"""

import base64
import binascii
import hashlib
import re
import secrets
from pathlib import PurePosixPath

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hesper_contracts import jsonbody
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import gateway_id

CONFIGURATION = "gateway.toml"
_ASK = b"enrolment ask 1\x00"
_ANSWER = b"enrolment answer 1\x00"
_BOX = b"hesper/v1 enrolment box\x00"
_TOKEN = "hesper1"  # noqa: S105 - the first word of every token
_PUBLIC_OCTETS = 32
_NONCE = bytes(12)
_MOST_REQUEST_OCTETS, _MOST_SERIAL = 2048, 64
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,4}")


class Token(msgspec.Struct, frozen=True):
    """A right to bear a name, once; the secret never shows."""

    gateway: str
    secret: bytes
    fingerprint: bytes
    """SHA-256 of the head end's command key."""

    def __repr__(self) -> str:
        return f"Token(gateway={self.gateway!r})"

    @classmethod
    def make(cls, gateway: str, command_key: bytes) -> "Token":
        """Return a fresh token for a name."""
        return cls(gateway, secrets.token_bytes(32), hashlib.sha256(command_key).digest())

    @classmethod
    def from_text(cls, text: str) -> "Token":
        """Read the line that an operator hands over.

        Raises:
            Refused: it is no token, or not all of it.
        """
        words = text.strip().split(".")
        try:
            if len(words) != 4 or words[0] != _TOKEN:
                raise ValueError
            token = cls(gateway_id(words[1]), _octets(words[2]), _octets(words[3]))
        except (ValueError, binascii.Error):
            raise Refused("that is no token, or not all of it; copy the whole line") from None
        return token

    @property
    def text(self) -> str:
        """The line to hand over."""
        return ".".join((_TOKEN, self.gateway, _letters(self.secret), _letters(self.fingerprint)))

    @property
    def digest(self) -> bytes:
        """What the head end keeps of the secret."""
        return hashlib.sha256(self.secret).digest()

    def is_of(self, command_key: bytes) -> bool:
        """Say whether this is the key of the head end that made the token."""
        return secrets.compare_digest(hashlib.sha256(command_key).digest(), self.fingerprint)


class Ask(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What a device asks for. Octets are base64 in JSON."""

    gateway: str
    token_digest: bytes
    signing_key: bytes
    """Ed25519, public: results will be signed with it."""
    sealing_key: bytes
    """X25519, public: the answer is sealed to it."""
    serial: str = ""
    """The device's own serial number, as it says itself; a token may be bound to one."""
    certificate_request: bytes = b""
    """PKCS#10, DER, for the broker; empty where no certificate is wanted."""

    def __post_init__(self) -> None:
        gateway_id(self.gateway)
        if len(self.certificate_request) > _MOST_REQUEST_OCTETS:
            raise ValueError(f"a certificate request has {_MOST_REQUEST_OCTETS} octets at most")
        if len(self.serial) > _MOST_SERIAL or not self.serial.isprintable():
            raise ValueError(f"a serial number has {_MOST_SERIAL} printable characters at most")
        lengths = {len(self.token_digest), len(self.signing_key), len(self.sealing_key)}
        if lengths != {_PUBLIC_OCTETS}:
            raise ValueError("the keys and the digest have 32 octets each")


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a configuration; its name is relative to the folder of gateway.toml."""

    name: str
    octets: bytes

    def __repr__(self) -> str:
        return f"File({self.name!r})"

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(self.name) or ".." in PurePosixPath(self.name).parts:
            raise ValueError(f"{self.name!r}: a file lies in the folder of gateway.toml or below")


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """gateway.toml and the files that it names."""

    files: tuple[File, ...]

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names) or CONFIGURATION not in names:
            raise ValueError(f"a configuration has one {CONFIGURATION}, and each file once")


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sealed in an answer."""

    configuration: Configuration
    broker_password: str

    def __repr__(self) -> str:
        return "Secrets(…)"


class Answer(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What the head end answers.

    Attributes:
        ask: The digest of the ask that this answers.
        gateway: The name.
        version: Of the configuration.
        replaces: Another device bore this name before.
        broker_knows: The broker's password file is written by the head end; else by a person.
        box: `Secrets`, sealed.
        certificate: For the key of the certificate request, PEM, its chain behind it; or empty.
    """

    ask: bytes
    gateway: str
    version: int
    replaces: bool
    broker_knows: bool
    box: bytes
    certificate: bytes = b""


def sign_ask(ask: Ask, device: Signer) -> bytes:
    """Return the ask as it travels: a signed section."""
    return device.sign(_ASK, jsonbody.encode(ask)).removeprefix(_ASK)


def read_ask(section: bytes) -> Ask:
    """Return an ask that is signed with the key that it shows.

    Raises:
        Refused: it is not, or it is none.
    """
    start = 1 + (section[0] if section else 0) + 64
    ask = jsonbody.decode(section[start:], Ask)
    Keyring.of(ask.signing_key).verify(_ASK, section)
    return ask


def digest_of(section: bytes) -> bytes:
    """Return what an answer names an ask by."""
    return hashlib.sha256(_ASK + section).digest()


def sign_answer(answer: Answer, head_end: Signer) -> bytes:
    """Return the answer as it travels: the command key's public half (32), a signed section."""
    section = head_end.sign(_ANSWER, jsonbody.encode(answer)).removeprefix(_ANSWER)
    return head_end.public_key + section


def read_answer(octets: bytes, token: Token, ask: bytes) -> Answer:
    """Return an answer to this ask by the head end that made the token.

    Args:
        octets: What came.
        token: Whose fingerprint the key must have that it is signed with.
        ask: The digest of what was asked.

    Raises:
        Refused: another key, another ask or name, altered, or no answer.
    """
    command_key, section = octets[:_PUBLIC_OCTETS], octets[_PUBLIC_OCTETS:]
    if not token.is_of(command_key):
        raise Refused("another head end answers than the one that made the token")
    answer = jsonbody.decode(Keyring.of(command_key).verify(_ANSWER, section), Answer)
    if (answer.ask, answer.gateway) != (ask, token.gateway):
        raise Refused("this is the answer to something else that was asked")
    return answer


def seal(found: Secrets, sealing_key: bytes, ask: bytes) -> bytes:
    """Return the box that only the device opens, as the answer to this ask alone.

    Raises:
        Refused: no public key that could be sealed to.
    """
    ephemeral = X25519PrivateKey.generate()
    ours = ephemeral.public_key().public_bytes_raw()
    try:
        key = _key(ephemeral, sealing_key, ours + sealing_key)
    except ValueError:
        raise Refused("that is no key to seal to") from None
    return ours + AESGCM(key).encrypt(_NONCE, jsonbody.encode(found), ask)


def open_box(box: bytes, private_key: bytes, ask: bytes) -> Secrets:
    """Return what was sealed for this device and ask.

    Raises:
        Refused: sealed for another, altered, or nothing that fits.
    """
    private = X25519PrivateKey.from_private_bytes(private_key)
    theirs, ours = box[:_PUBLIC_OCTETS], private.public_key().public_bytes_raw()
    try:
        key = _key(private, theirs, theirs + ours)
        octets = AESGCM(key).decrypt(_NONCE, box[_PUBLIC_OCTETS:], ask)
    except (InvalidTag, ValueError):
        raise Refused("the answer is not sealed for this device") from None
    return jsonbody.decode(octets, Secrets)


def _key(private: X25519PrivateKey, public: bytes, info: bytes) -> bytes:
    shared = private.exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(hashes.SHA256(), 32, None, _BOX + info).derive(shared)


def _letters(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def _octets(letters: str) -> bytes:
    octets = base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True)
    if len(octets) != _PUBLIC_OCTETS:
        raise ValueError
    return octets
