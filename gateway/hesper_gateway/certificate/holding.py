"""The file with key and certificate, and its successor until the broker has taken it."""

import logging
from pathlib import Path

from hesper_gateway.certificate.making import Worn, read
from hesper_gateway.errors import ConfigError
from hesper_gateway.secrets_files import put, require_private

log = logging.getLogger(__name__)

SUCCESSOR = ".next"


class Holding:
    """Which certificate to show at the next connection; all state is in the two files.

    Args:
        path: The file that is shown; it must be there and fit.

    Raises:
        ConfigError: absent, open to others, or not key and certificate.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = path.with_name(path.name + SUCCESSOR)
        self._shown: Path | None = None
        self._worn = _load(path)

    @property
    def worn(self) -> Worn:
        """The certificate that counts: the last one that the broker took."""
        return self._worn

    @property
    def has_successor(self) -> bool:
        """Whether another one waits to be taken."""
        return self._next.exists()

    def lay_beside(self, pem: bytes) -> None:
        """Keeps a successor, durably, which the next connection tries first."""
        put(self._next, pem)
        self._shown = None

    def choose(self) -> Path:
        """Returns the file to show now: successor and old one take turns until one is taken."""
        use_next = self.has_successor and self._shown != self._next
        self._shown = self._next if use_next else self._path
        return self._shown

    def taken(self) -> None:
        """Notes that the broker took what was shown; a successor takes its place."""
        if self._shown != self._next or not self.has_successor:
            return
        self._worn = _load(self._next)
        put(self._path, self._next.read_bytes())
        self._next.unlink()
        self._shown = self._path
        log.info("the broker took the new certificate, good until %s", self._worn.ends)

    def discard_successor(self) -> None:
        """Drops a successor that the broker does not take."""
        self._next.unlink(missing_ok=True)
        self._shown = None


def _load(path: Path) -> Worn:
    require_private(path)
    try:
        return read(path.read_bytes())
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}: no private key with its certificate: {error}") from error
