"""Firmware images with the manifests that a site's two people sign."""

import hashlib
from datetime import UTC, datetime, timedelta

from hesper_contracts import jsonbody, manifest
from hesper_contracts.manifest import Manifest
from hesper_lab import cloud_files
from hesper_lab.site import Site


def signed(site: Site, version: str, octets: bytes, signers: int = 2) -> tuple[bytes, bytes, str]:
    """Returns the signed manifest of an image, the image, and its hash."""
    image_hash = hashlib.sha256(octets).hexdigest()
    document = manifest.unsigned(
        Manifest(
            type="meter",
            hardware="any",
            version=version,
            image_hash=image_hash,
            size=len(octets),
            not_after=datetime.now(UTC) + timedelta(days=1),
        )
    )
    for signer in cloud_files.release_signers(site)[:signers]:
        document = manifest.sign(document, signer)
    return jsonbody.encode(document), octets, image_hash
