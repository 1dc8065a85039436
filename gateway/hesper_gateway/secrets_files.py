"""Files with secrets: written at one stroke; a person's mistakes are told, the secrets never."""

import stat
from pathlib import Path

from hesper_contracts.signing import Signer

from hesper_gateway.durable import put as put
from hesper_gateway.errors import ConfigError
from hesper_gateway.file_owners import why


def load_signer(path: Path) -> Signer:
    """Returns the gateway's own key.

    Raises:
        ConfigError: absent, open to others, or no key.
    """
    require_private(path)
    try:
        return Signer.load(path)
    except OSError as error:
        raise ConfigError(f"{path}: {why(error)}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: expected 64 hex digits, an Ed25519 seed") from error


def load_password(path: Path | None) -> str | None:
    """Returns the first line of a password file; None without one.

    Raises:
        ConfigError: absent, open to others, or empty.
    """
    if path is None:
        return None
    require_private(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: the text is not UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: {why(error)}") from error
    if not lines or not lines[0]:
        raise ConfigError(f"{path}: the password is empty")
    return lines[0]


def require_private(path: Path) -> None:
    """Insists that a file is there and nobody else may read it.

    Raises:
        ConfigError: it is not, or others may.
    """
    try:
        reproach = openness(path)
    except OSError as error:
        raise ConfigError(f"{path}: {why(error)}") from error
    if reproach:
        raise ConfigError(reproach)


def openness(path: Path) -> str:
    """Returns what to do about a file that others may read; empty where nobody else may.

    Raises:
        OSError: it cannot be looked at.
    """
    is_open = stat.S_IMODE(path.stat().st_mode) & 0o077
    return f"{path}: others may read it; run: chmod 600 {path}" if is_open else ""
