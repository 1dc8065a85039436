"""How the octets of an image come to the disk: counted while they come, synced, then named."""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hesper_contracts.durable import synchronise
from hesper_contracts.manifest import Manifest, SignedManifest

from hesper_cloud.worded import worded


class NotKept(Exception):
    """An image is not taken, or not there; the text says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One image as the shelf has it; ``is_whole`` once its octets have come."""

    document: SignedManifest
    said: Manifest
    is_whole: bool


class Filling:
    """Takes the octets of one image; ends in `finish` or `abandon`."""

    def __init__(self, kept: Kept, part: Path, path: Path) -> None:
        self._kept = kept
        self._part, self._path = part, path
        self._file: IO[bytes] = part.open("xb")
        self._digest, self._count = hashlib.sha256(), 0

    def write(self, octets: bytes) -> None:
        """Take the next octets.

        Raises:
            NotKept: more than the manifest says, or the disk does not take them.
        """
        self._count += len(octets)
        if self._count > self._kept.said.size:
            raise NotKept(
                worded("more octets than the {size} of the manifest", size=self._kept.said.size)
            )
        self._digest.update(octets)
        try:
            self._file.write(octets)
        except OSError as error:
            raise NotKept(
                worded("the disk does not take the image: {strerror}", strerror=error.strerror)
            ) from None

    def finish(self) -> Kept:
        """Make an image of what has come; durable on return.

        Raises:
            NotKept: it is not what the manifest says, or the disk does not take it.
        """
        said = self._kept.said
        if self._count != said.size:
            raise NotKept(
                worded(
                    "{count} octets have come, the manifest says {size}",
                    count=self._count,
                    size=said.size,
                )
            )
        if self._digest.hexdigest() != said.image_hash:
            raise NotKept("the octets have another SHA-256 than the manifest says")
        try:
            _synced(self._file)
            self._part.replace(self._path)
            synchronise(self._path.parent)
        except OSError as error:
            raise NotKept(
                worded("the disk does not take the image: {strerror}", strerror=error.strerror)
            ) from None
        return Kept(self._kept.document, said, is_whole=True)

    def abandon(self) -> None:
        """Throw away what has come; after `finish` there is nothing to throw away."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put(path: Path, octets: bytes) -> None:
    """Put a small file in place, durably, as a whole or not at all."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with part.open("xb") as file:
        file.write(octets)
        _synced(file)
    part.replace(path)
    synchronise(path.parent)


def _synced(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
