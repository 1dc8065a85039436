"""The secrets of one meter, kept in a file of its own that only the gateway may read."""

import json
import stat
from dataclasses import dataclass, field
from pathlib import Path

from hesper_gateway.errors import ConfigError

_KEY_OCTETS = (16, 32)


@dataclass(frozen=True, slots=True)
class MeterKeys:
    """Global unicast encryption key, authentication key and LLS password; never shown."""

    encryption_key: bytes | None = field(default=None, repr=False)
    authentication_key: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)


def load(path: Path | None) -> MeterKeys:
    """Read a keys file: ``{"encryption_key": hex, "authentication_key": hex, "password": text}``.

    Raises:
        ConfigError: absent, open to others, or not of that form. The text never repeats a key.
    """
    if path is None:
        return MeterKeys()
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON") from error
    if mode & 0o077:
        raise ConfigError(f"{path}: others may read it; run: chmod 600 {path}")
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected one JSON object")
    unknown = sorted(set(document) - {"encryption_key", "authentication_key", "password"})
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}")
    password = document.get("password")
    if not isinstance(password, str | None):
        raise ConfigError(f"{path}: password must be text")
    return MeterKeys(
        encryption_key=_key(path, document, "encryption_key"),
        authentication_key=_key(path, document, "authentication_key"),
        password=None if password is None else password.encode(),
    )


def _key(path: Path, document: dict[str, object], name: str) -> bytes | None:
    text = document.get(name)
    if text is None:
        return None
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    if len(key) not in _KEY_OCTETS:
        raise ConfigError(f"{path}: {name} must be 16 or 32 octets in hex")
    return key
