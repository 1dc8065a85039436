"""Firmware images on disk, each under its SHA-256, beside the manifest that two people have signed.

Theory of operation. The manifest comes first and is checked; it says how many octets may follow and
what their SHA-256 must be. They are written to a file of their own, synced, held against both, and
only then get the image's name; a cut leaves nothing that looks like an image, and what was cut is
swept away when the next image comes. Nothing here is believed later on: the authority and the
gateways read the manifest again with their own keys, and a gateway counts the octets again.
"""

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hesper_contracts import jsonbody, manifest
from hesper_contracts.frame import Refused
from hesper_contracts.manifest import HASH_PATTERN, Manifest, SignedManifest
from hesper_contracts.signing import Keyring

from hesper_cloud.images import changelog
from hesper_cloud.images.filling import Filling, Kept, NotKept, digest, put
from hesper_cloud.settings import Settings
from hesper_cloud.worded import told_by, worded

_MEGABYTE = 1024 * 1024
_Stamp = tuple[int, int, int]


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
            raise NotKept(told_by(refusal)) from None
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path_of(said.image_hash)
        if not path.exists():
            self._check_room(said)
        put(self._manifest_path(said.image_hash), jsonbody.encode(document))
        return Kept(document, said, path.exists())

    def filling(self, image_hash: str) -> Filling:
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
            raise NotKept(worded("there is no image {image_hash}", image_hash=image_hash)) from None
        except Refused as refusal:
            raise NotKept(
                worded(
                    "the manifest of {image_hash} does not hold: {refusal}",
                    image_hash=image_hash,
                    refusal=refusal,
                )
            ) from None
        if said.image_hash != image_hash:
            raise NotKept(
                worded(
                    "the manifest of {image_hash} is that of another image", image_hash=image_hash
                )
            )
        return Kept(document, said, self.path_of(image_hash).exists())

    def describe(self, image_hash: str, octets: bytes) -> str:
        """Keep what is new in an image, in the place of what was told before; durable on return.

        Raises:
            NotKept: no manifest has come, it is no such text, or the disk does not take it.
        """
        text = changelog.read(octets)
        path = self._changelog_path(self.find(image_hash).said.image_hash)
        try:
            put(path, text.encode())
        except OSError as error:
            raise NotKept(
                worded("the disk does not take the changelog: {strerror}", strerror=error.strerror)
            ) from None
        return text

    def changelog(self, image_hash: str) -> str:
        """Return what is new in an image; empty where nobody has told it."""
        try:
            return changelog.read(self._changelog_path(image_hash).read_bytes())
        except (OSError, NotKept):
            return ""

    def signers(self, kept: Kept) -> tuple[str, ...]:
        """Return the ids of the release keys that have signed an image's manifest."""
        return tuple(sorted(manifest.sealed_by(kept.document, self.keys)))

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
            raise _unreadable(image_hash, error) from None
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
            raise _unreadable(image_hash, error) from None

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
                worded(
                    "the disk has {free} octets free; {left_free_octets} must stay so beside "
                    "an image of {size}",
                    free=free,
                    left_free_octets=self.left_free_octets,
                    size=said.size,
                )
            )

    def _sweep(self, image_hash: str) -> None:
        for part in self.folder.glob(f"{image_hash}.*.part"):
            part.unlink(missing_ok=True)

    def path_of(self, image_hash: str) -> Path:
        """Return where the octets of an image are."""
        return self.folder / f"{image_hash}.image"

    def _changelog_path(self, image_hash: str) -> Path:
        return self.folder / f"{image_hash}.changelog"

    def _manifest_path(self, image_hash: str) -> Path:
        return self.folder / f"{image_hash}.manifest"


def shelf_of(settings: Settings) -> Shelf:
    """Returns the shelf that a configuration describes."""
    chosen = settings.firmware
    keys = Keyring({name: bytes.fromhex(key) for name, key in chosen.release_keys.items()})
    return Shelf(settings.images, keys, chosen.left_free_mb * _MEGABYTE)


def _unreadable(image_hash: str, error: OSError) -> NotKept:
    return NotKept(
        worded(
            "image {image_hash} cannot be read: {strerror}",
            image_hash=image_hash,
            strerror=error.strerror,
        )
    )
