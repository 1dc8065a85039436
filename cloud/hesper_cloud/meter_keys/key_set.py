"""The secrets of one meter, as they are kept and as its gateway's keys file holds them.

Key ids of the Green Book (DLMS UA 1000-2, security setup, key_transfer): 0 global unicast
encryption, 1 global broadcast encryption, 2 authentication, 3 master key (key-encrypting key).
"""

import json
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

Changeable = Literal["encryption_key", "authentication_key", "master_key"]
KEY_OCTETS = (16, 32)
"""Suites 0 and 1, suite 2."""
_SYMMETRIC = ("encryption_key", "broadcast_key", "authentication_key", "master_key")
_ASYMMETRIC = {"signing_key": (32, 48), "meter_signing_key": (64, 96)}
_PASSWORD_MAX = 256


class BadKeys(ValueError):
    """Keys that cannot be a meter's; ``name`` says which, and the text repeats none of them."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}" if name else text)
        self.name = name
        self.text = text


class KeySet(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """All that is secret between one meter and its head end; it never shows.

    Attributes:
        encryption_key: Global unicast encryption (key id 0).
        broadcast_key: Global broadcast encryption (key id 1); kept, no gateway uses it.
        authentication_key: Of GCM's additional data (key id 2).
        master_key: Under which new keys travel to the meter (key id 3).
        password: Of LLS, and of HLS with MD5, SHA-1 or SHA-256.
        signing_key: Our private key for HLS with ECDSA.
        meter_signing_key: The meter's public one.
    """

    encryption_key: bytes | None = None
    broadcast_key: bytes | None = None
    authentication_key: bytes | None = None
    master_key: bytes | None = None
    password: str | None = None
    signing_key: bytes | None = None
    meter_signing_key: bytes | None = None

    def __repr__(self) -> str:
        return "KeySet(…)"

    @property
    def names(self) -> tuple[str, ...]:
        """What it holds, by name."""
        return tuple(name for name in NAMES if getattr(self, name) is not None)

    def check(self) -> "KeySet":
        """Returns itself when a meter can have these.

        Raises:
            BadKeys: a wrong length, two lengths that do not go together, or nothing at all.
        """
        given = [name for name in _SYMMETRIC if getattr(self, name) is not None]
        for name in given:
            _check_length(name, getattr(self, name), KEY_OCTETS)
            if len(getattr(self, name)) != len(getattr(self, given[0])):
                raise BadKeys(name, f"not as long as the {given[0]}")
        for name, lengths in _ASYMMETRIC.items():
            _check_length(name, getattr(self, name), lengths)
        if self.password is not None and not 0 < len(self.password) <= _PASSWORD_MAX:
            raise BadKeys("password", f"expected 1 to {_PASSWORD_MAX} characters")
        if not self.names:
            raise BadKeys("", "no key at all")
        return self


NAMES = KeySet.__struct_fields__


class RenewKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys of a meter are to be made anew; nobody says what they will be."""

    renew: tuple[Changeable, ...] = ("encryption_key", "authentication_key")

    def __post_init__(self) -> None:
        if not self.renew or len(set(self.renew)) != len(self.renew):
            raise ValueError("renew names at least one key, and each once")
        if "encryption_key" not in self.renew and "master_key" in self.renew:
            raise ValueError("a new master_key comes only with a new encryption_key")


CHANGEABLE: tuple[Changeable, ...] = get_args(Changeable)


def of(values: Mapping[str, bytes | str | None]) -> KeySet:
    """Returns the set of these keys, by name; a password is text."""
    return msgspec.convert(dict(values), KeySet)


def to_octets(keys: KeySet) -> bytes:
    """Returns what is locked."""
    return msgspec.json.encode(keys)


def from_octets(octets: bytes) -> KeySet:
    """Returns what was locked."""
    return msgspec.json.decode(octets, type=KeySet)


def to_keys_file(current: KeySet, pending: tuple[str, KeySet] | None = None) -> bytes:
    """Returns a gateway's keys file.

    Args:
        current: What the meter has, or had before a change that is open.
        pending: A command under way and the keys that the meter may have since.
    """
    document: dict[str, object] = _as_hex(current)
    if pending is not None:
        command_id, keys = pending
        proposed: dict[str, object] = {"command": command_id}
        proposed |= {name: text for name, text in _as_hex(keys).items() if name in CHANGEABLE}
        document["pending"] = proposed
    return json.dumps(document, indent=1).encode()


def from_keys_file(octets: bytes) -> KeySet:
    """Returns the keys of a gateway's keys file.

    Raises:
        BadKeys: it is none.
    """
    try:
        document = json.loads(octets)
    except ValueError:
        raise BadKeys("", "not JSON") from None
    if not isinstance(document, dict) or set(document) - set(NAMES):
        raise BadKeys("", "not a keys file: an object with keys in hex and a password")
    values: dict[str, bytes | str | None] = {}
    for name, text in document.items():
        values[name] = _value(name, text)
    return of(values).check()


def _value(name: str, text: object) -> bytes | str | None:
    if text is None or (name == "password" and isinstance(text, str)):
        return text
    try:
        if isinstance(text, str):
            return bytes.fromhex(text)
    except ValueError:
        pass
    raise BadKeys(name, "expected text in hex, a password as it is")


def _as_hex(keys: KeySet) -> dict[str, object]:
    """Returns what a gateway takes; it knows no broadcast key."""
    found = {name: getattr(keys, name) for name in keys.names if name != "broadcast_key"}
    return {name: key.hex() if isinstance(key, bytes) else key for name, key in found.items()}


def _check_length(name: str, key: bytes | None, lengths: tuple[int, int]) -> None:
    if key is not None and len(key) not in lengths:
        raise BadKeys(name, f"{len(key)} octets, expected {lengths[0]} or {lengths[1]}")
