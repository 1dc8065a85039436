"""Two people who release firmware, an image, and a shelf for it."""

import hashlib
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.images.shelf import Shelf
from hesper_contracts import manifest
from hesper_contracts.manifest import Manifest, SignedManifest
from hesper_contracts.signing import Keyring, Signer

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class Release:
    """One image with its manifest."""

    folder: Path
    octets: bytes = field(default_factory=lambda: os.urandom(100_000))
    people: tuple[Signer, ...] = field(
        default_factory=lambda: (Signer.generate(), Signer.generate())
    )
    NOW = NOW

    @property
    def image_hash(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()

    @property
    def keys(self) -> Keyring:
        return Keyring.of(*(each.public_key for each in self.people))

    @property
    def release_keys(self) -> dict[str, str]:
        """As cloud.toml has them."""
        return {each.key_id: each.public_key.hex() for each in self.people}

    def said(self, **changes: Any) -> Manifest:
        named = {
            "type": "meter",
            "hardware": "any",
            "version": "HSP-FW 1.5.0",
            "image_hash": self.image_hash,
            "size": len(self.octets),
            "not_after": datetime(2030, 1, 1, tzinfo=UTC),
        }
        return Manifest(**(named | changes))

    def document(self, *by: Signer, **changes: Any) -> SignedManifest:
        """The manifest, signed by both unless told otherwise."""
        document = manifest.unsigned(self.said(**changes))
        for signer in by or self.people:
            document = manifest.sign(document, signer)
        return document

    def shelf(self, left_free_octets: int = 0) -> Shelf:
        return Shelf(self.folder / "images", self.keys, left_free_octets)

    def kept(self) -> Shelf:
        """A shelf that has the image."""
        shelf = self.shelf()
        shelf.announce(self.document(), NOW)
        self.fill(shelf)
        return shelf

    def fill(self, shelf: Shelf, octets: bytes | None = None) -> None:
        filling = shelf.filling(self.image_hash)
        try:
            filling.write(self.octets if octets is None else octets)
            filling.finish()
        finally:
            filling.abandon()


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)
