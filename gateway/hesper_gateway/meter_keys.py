"""The secrets of one meter, kept in a file of its own that only the gateway may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hesper_gateway import person_json
from hesper_gateway.errors import ConfigError
from hesper_gateway.file_owners import why
from hesper_gateway.person_json import NotJson
from hesper_gateway.secrets_files import require_private

_OCTETS = {
    "encryption_key": (16, 32),
    "authentication_key": (16, 32),
    "master_key": (16, 32),
    "signing_key": (32, 48),
    "meter_signing_key": (64, 96),
}
"""Name in the file → how many octets; a public key is x and y of its point."""
_PENDING = "pending"
_CHANGED = ("encryption_key", "authentication_key", "master_key")


@dataclass(frozen=True, slots=True)
class MeterKeys:
    """The secrets of one meter; never shown.

    encryption_key, authentication_key: global unicast, 32 octets in suite 2.
    master_key: under which new keys travel to the meter.
    proposed: what a change of keys that is open may have brought, when a gateway takes another's
        place: the command, and those keys by name.
    password: the secret of LLS, and of HLS with MD5, SHA-1 or SHA-256.
    signing_key: our private key (P-256, P-384 in suite 2), for HLS with ECDSA.
    meter_signing_key: the meter's public key.
    """

    encryption_key: bytes | None = field(default=None, repr=False)
    authentication_key: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    signing_key: bytes | None = field(default=None, repr=False)
    meter_signing_key: bytes | None = field(default=None, repr=False)
    master_key: bytes | None = field(default=None, repr=False)
    proposed: tuple[str, Mapping[str, bytes]] | None = field(default=None, repr=False)

    def secrets(self) -> set[bytes]:
        """Return all that nobody else may see."""
        named = (self.encryption_key, self.authentication_key, self.master_key, self.signing_key)
        proposed = () if self.proposed is None else self.proposed[1].values()
        return {each for each in (*named, self.password, *proposed) if each}


def load(path: Path | None) -> MeterKeys:
    """Read a keys file: one JSON object, keys in hex and the password as text.

    Raises:
        ConfigError: absent, open to others, or not of that form. The text never repeats a key.
    """
    if path is None:
        return MeterKeys()
    require_private(path)
    try:
        document = person_json.read(path)
    except OSError as error:
        raise ConfigError(f"{path}: {why(error)}") from error
    except NotJson as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    except ValueError:
        raise ConfigError(f"{path}: not JSON: no text in UTF-8") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected one JSON object")
    allowed = {*_OCTETS, "password", _PENDING}
    unknown = sorted(set(document) - allowed)
    if unknown:
        there = ", ".join(sorted(allowed))
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; there are: {there}")
    password = document.get("password")
    if not isinstance(password, str | None):
        raise ConfigError(f"{path}: password must be text")
    return MeterKeys(
        password=None if password is None else password.encode(),
        proposed=_proposed(path, document.get(_PENDING)),
        **{name: _key(path, document, name) for name in _OCTETS},
    )


def _proposed(path: Path, document: object) -> tuple[str, dict[str, bytes]] | None:
    if document is None:
        return None
    if not isinstance(document, dict) or not isinstance(document.get("command"), str):
        raise ConfigError(f"{path}: pending needs the command that brought it")
    if set(document) - {"command", *_CHANGED}:
        raise ConfigError(f"{path}: pending holds {', '.join(_CHANGED)} and nothing else")
    keys = {name: _key(path, document, name) for name in _CHANGED}
    return document["command"], {name: key for name, key in keys.items() if key is not None}


def _key(path: Path, document: dict[str, object], name: str) -> bytes | None:
    text = document.get(name)
    if text is None:
        return None
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    short, long = _OCTETS[name]
    if len(key) not in (short, long):
        raise ConfigError(f"{path}: {name} must be {short} or {long} octets in hex")
    return key
