"""Firmware images on the gateway's own disk: whole ones, and parts that grow block by block.

Theory of operation
-------------------
A part is a file that only grows, by whole blocks of the contract, each synced before the next is
written. So after a power cut all but the block that was being written is there; the last one found
is taken off and asked for again. A part becomes an image by its SHA-256 and by nothing else, and an
image is held against it again each time that it is to go to a meter: cards decay.

The folder has a quota, and some of the disk is left to the readings. The images that were not used
for longest make room; those that are in use do not.
"""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hesper_contracts import blocks
from hesper_contracts.blocks import BLOCK_OCTETS
from hesper_contracts.durable import synchronise

from hesper_gateway.errors import Hop, MeterFailed

LEFT_FREE_OCTETS = 16 * 1024 * 1024
"""What images leave of the disk to outbox and journal."""


class NoRoom(MeterFailed):
    """The image does not fit into the quota or onto the disk; a person must make room."""

    hop = Hop.GATEWAY


class ImageUnusable(MeterFailed):
    """The image cannot be had or kept, or is not what was signed."""

    hop = Hop.GATEWAY


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image by what a signed command says of it: SHA-256 in hex, and octets."""

    image_hash: str
    size: int

    @property
    def block_count(self) -> int:
        """How many blocks of the contract it has."""
        return blocks.count(self.size)


class ImageStore:
    """The folder of images; its methods read and write files, so call them in a thread.

    Args:
        folder: Made when it is needed.
        quota_octets: What all images and parts together may take.
        left_free_octets: What must stay free of the disk.
    """

    def __init__(
        self, folder: Path, quota_octets: int, left_free_octets: int = LEFT_FREE_OCTETS
    ) -> None:
        self.quota_octets = quota_octets
        self._folder = folder
        self._left_free = left_free_octets
        self._in_use: Counter[Wanted] = Counter()

    @contextmanager
    def using(self, wanted: Wanted) -> Iterator[None]:
        """Keep an image, or the part of it, from making room for others."""
        self._in_use[wanted] += 1
        try:
            yield
        finally:
            self._in_use[wanted] -= 1

    def is_whole(self, wanted: Wanted) -> bool:
        """Return whether the image is here as it was signed; one that decayed is removed.

        Raises:
            ImageUnusable: it is, and has not the size that was signed with it.
        """
        path = self.path_of(wanted)
        with _card():
            if not path.exists():
                return False
            if _digest(path) != wanted.image_hash:
                path.unlink()
                return False
            os.utime(path)
            size = path.stat().st_size
        if size != wanted.size:
            raise ImageUnusable(f"the image has {size} octets, {wanted.size} were signed")
        return True

    def read(self, wanted: Wanted, offset: int, length: int) -> bytes:
        """Return octets of an image that is whole; fewer at its end.

        Raises:
            ImageUnusable: the card does not give it back.
        """
        try:
            with self.path_of(wanted).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise ImageUnusable(
                f"image {wanted.image_hash[:16]} cannot be read: {error}"
            ) from error

    def begin(self, wanted: Wanted) -> int:
        """Make or take up the part of an image; return how many blocks of it are there.

        Raises:
            NoRoom: it does not fit, though all is removed that may be.
        """
        path = self._part(wanted)
        with _card():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(wanted)
            synced = min(max(0, _size(path) - 1) // BLOCK_OCTETS, wanted.block_count)
            with path.open("ab") as file:
                file.truncate(synced * BLOCK_OCTETS)
        return synced

    def append(self, wanted: Wanted, octets: bytes) -> None:
        """Add the next block to a part; durable on return.

        Raises:
            ImageUnusable: the card does not take it, or is full.
        """
        with _card(), self._part(wanted).open("ab") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())

    def finish(self, wanted: Wanted) -> bool:
        """Make an image of a part that has all blocks; a part of another digest is removed."""
        part = self._part(wanted)
        with _card():
            if _digest(part) != wanted.image_hash:
                part.unlink()
                return False
            part.replace(self.path_of(wanted))
            synchronise(self._folder)
        return True

    def _make_room(self, wanted: Wanted) -> None:
        kept = {each.image_hash: each.size for each, users in self._in_use.items() if users}
        kept[wanted.image_hash] = wanted.size
        reserved = sum(kept.values())
        others = sorted(self._others(kept), key=lambda path: path.stat().st_mtime)
        while others and self._short_of(wanted, reserved, others):
            others.pop(0).unlink()
        if short := self._short_of(wanted, reserved, others):
            raise NoRoom(f"an image of {wanted.size} octets does not fit: {short}")

    def _others(self, kept: dict[str, int]) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.stem not in kept]

    def _short_of(self, wanted: Wanted, reserved: int, others: list[Path]) -> str:
        """Return what there is too little of, or nothing."""
        if reserved + sum(path.stat().st_size for path in others) > self.quota_octets:
            return f"images may take {self.quota_octets} octets in all"
        missing = wanted.size - _size(self._part(wanted))
        if shutil.disk_usage(self._folder).free < missing + self._left_free:
            return "the disk is too full"
        return ""

    def path_of(self, wanted: Wanted) -> Path:
        """Return where an image lies, once it is whole."""
        return self._folder / f"{wanted.image_hash}.image"

    def _part(self, wanted: Wanted) -> Path:
        return self._folder / f"{wanted.image_hash}.part"


@contextmanager
def _card() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageUnusable(f"the image cannot be kept here: {error}") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
