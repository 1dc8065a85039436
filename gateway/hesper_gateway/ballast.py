"""A file that only occupies room, given up when the disk is full so that the outbox can drain."""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

BALLAST_OCTETS = 2 * 1024 * 1024
"""Room for one whole write-ahead log (256 pages of 4 KiB) and for moving it into the database."""


class Ballast:
    """A file that only occupies room, given up when the disk is full."""

    def __init__(self, path: Path, octets: int = BALLAST_OCTETS) -> None:
        self._path = path
        self._octets = octets

    @property
    def present(self) -> bool:
        """Whether there is still room to give up."""
        return self._path.exists()

    @property
    def is_given_up(self) -> bool:
        """Whether the disk was full and there is no room again yet; never without a ballast."""
        return self._octets > 0 and not self.present

    def drop(self) -> bool:
        """Removes the file; returns False when it was gone already, or the card lets nothing go."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.error("disk full: ballast %s removed", self._path)
        return True

    def restore(self) -> bool:
        """Writes the file again if there is comfortably room; returns whether it is there."""
        if self.present:
            return True
        try:
            if shutil.disk_usage(self._path.parent).free < 2 * self._octets:
                return False
            with self._path.open("wb") as file:
                file.write(os.urandom(self._octets))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                self._path.unlink()
            return False
        return True
