"""Firmware images on disk, each under its SHA-256, beside the manifest that two people have signed.

Theory of operation. The manifest comes first and is checked; it says how many octets may follow and
what their SHA-256 must be. They are written to a file of their own, synced, held against both, and
only then get the image's name; a cut leaves nothing that looks like an image, and what was cut is
swept away when the next image comes. Nothing here is believed later on: the authority and the
gateways read the manifest again with their own keys, and a gateway counts the octets again.
"""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from hesper_contracts import jsonbody, manifest
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import HASH_PATTERN, Manifest, SignedManifest
from hesper_contracts.signing import Keyring

from hesper_cloud.settings import Settings

_MEGABYTE = 1024 * 1024
_Stamp = tuple[int, int, int]


class NotKept(Exception):
    """An image is not taken, or not there; the text says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One image as the shelf has it; ``is_whole`` once its octets have come."""

    document: SignedManifest
    said: Manifest
    is_whole: bool


@dataclass(slots=True)
class Shelf:
    """The folder of images; its methods read and write files, so call them in a thread.

    Args:
        folder: Made when it is needed.
        keys: Those of the release keys; two of them must have signed.
        left_free_octets: What must stay free of the disk.
    """

    folder: Path
    keys: Keyring
    left_free_octets: int
    _intact: dict[str, _Stamp] = field(default_factory=dict)

    def announce(self, document: SignedManifest, now: datetime) -> Kept:
        """Keep a manifest, so that the octets of its image may come; safe to repeat.

        Raises:
            NotKept: it is not signed by two, out of date, or there is no room for the image.
        """
        try:
            said = manifest.read(document, self.keys)
            said.check_time(now)
        except Refused as refusal:
            raise NotKept(str(refusal)) from None
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path_of(said.image_hash)
        if not path.exists():
            self._check_room(said)
        _write(self._manifest_path(said.image_hash), jsonbody.encode(document))
        return Kept(document, said, path.exists())

    def filling(self, image_hash: str) -> "Filling":
        """Return what takes the octets of an image whose manifest is here.

        Raises:
            NotKept: no manifest has come, or there is no room.
        """
        kept = self.find(image_hash)
        self._sweep(image_hash)
        self._check_room(kept.said)
        part = self.folder / f"{image_hash}.{secrets.token_hex(4)}.part"
        return Filling(kept, part, self.path_of(image_hash))

    def find(self, image_hash: str) -> Kept:
        """Return an image by its SHA-256.

        Raises:
            NotKept: it is not here, or its manifest does not hold.
        """
        if not re.match(HASH_PATTERN, image_hash):
            raise NotKept("an image is named by its SHA-256, 64 hex digits")
        try:
            octets = self._manifest_path(image_hash).read_bytes()
            document = jsonbody.decode(octets, SignedManifest)
            said = manifest.read(document, self.keys)
        except OSError:
            raise NotKept(f"there is no image {image_hash}") from None
        except Refused as refusal:
            raise NotKept(f"the manifest of {image_hash} does not hold: {refusal}") from None
        if said.image_hash != image_hash:
            raise NotKept(f"the manifest of {image_hash} is that of another image")
        return Kept(document, said, self.path_of(image_hash).exists())

    def all(self) -> list[Kept]:
        """Return what is here and holds, by SHA-256."""
        names = sorted(path.name.partition(".")[0] for path in self.folder.glob("*.manifest"))
        return list(self._those(names))

    def is_intact(self, image_hash: str) -> bool:
        """Say whether the octets are still those of their name; counted anew when the file changes.

        Raises:
            NotKept: the image is not here.
        """
        path = self.path_of(image_hash)
        try:
            found = path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._intact.get(image_hash) != stamp:
                if digest(path) != image_hash:
                    return False
                self._intact[image_hash] = stamp
        except OSError as error:
            raise NotKept(f"image {image_hash} cannot be read: {error.strerror}") from None
        return True

    def read(self, image_hash: str, offset: int, length: int) -> bytes:
        """Return octets of an image; fewer at its end.

        Raises:
            NotKept: the disk does not give them.
        """
        try:
            with self.path_of(image_hash).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise NotKept(f"image {image_hash} cannot be read: {error.strerror}") from None

    def _those(self, names: list[str]) -> Iterator[Kept]:
        for name in names:
            try:
                yield self.find(name)
            except NotKept:
                continue

    def _check_room(self, said: Manifest) -> None:
        free = shutil.disk_usage(self.folder).free
        if free - said.size < self.left_free_octets:
            raise NotKept(
                f"the disk has {free} octets free; {self.left_free_octets} must stay so beside "
                f"an image of {said.size}"
            )

    def _sweep(self, image_hash: str) -> None:
        for part in self.folder.glob(f"{image_hash}.*.part"):
            part.unlink(missing_ok=True)

    def path_of(self, image_hash: str) -> Path:
        """Return where the octets of an image are."""
        return self.folder / f"{image_hash}.image"

    def _manifest_path(self, image_hash: str) -> Path:
        return self.folder / f"{image_hash}.manifest"


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
            raise NotKept(f"more octets than the {self._kept.said.size} of the manifest")
        self._digest.update(octets)
        try:
            self._file.write(octets)
        except OSError as error:
            raise NotKept(f"the disk does not take the image: {error.strerror}") from None

    def finish(self) -> Kept:
        """Make an image of what has come; durable on return.

        Raises:
            NotKept: it is not what the manifest says, or the disk does not take it.
        """
        said = self._kept.said
        if self._count != said.size:
            raise NotKept(f"{self._count} octets have come, the manifest says {said.size}")
        if self._digest.hexdigest() != said.image_hash:
            raise NotKept("the octets have another SHA-256 than the manifest says")
        try:
            _synced(self._file)
            self._part.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise NotKept(f"the disk does not take the image: {error.strerror}") from None
        return Kept(self._kept.document, said, is_whole=True)

    def abandon(self) -> None:
        """Throw away what has come; after `finish` there is nothing to throw away."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def shelf_of(settings: Settings) -> Shelf:
    """Returns the shelf that a configuration describes."""
    chosen = settings.firmware
    keys = Keyring({name: bytes.fromhex(key) for name, key in chosen.release_keys.items()})
    return Shelf(settings.images, keys, chosen.left_free_mb * _MEGABYTE)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, octets: bytes) -> None:
    """Put a small file in place, durably, as a whole or not at all."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    with part.open("xb") as file:
        file.write(octets)
        _synced(file)
    part.replace(path)
    _sync_folder(path.parent)


def _synced(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
