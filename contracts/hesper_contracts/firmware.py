"""What firmware commands are told about an image; its SHA-256 is the envelope's ``image_hash``.

One command brings an image to a meter and has it verified there, another one, bound to the same
hash, activates it; a gateway fetches an image for itself and goes over to it in one. Each carries
the manifest that two release keys have signed, and says nothing of the image that is not in it. An
image is good for nothing after its own date, whenever the command was given.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from hesper_contracts import manifest
from hesper_contracts.frame import Refused
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.manifest import (
    IMAGE_OCTETS_MAX,
    ImageSignature,
    Manifest,
    SignedManifest,
    Text,
)
from hesper_contracts.signing import Keyring


class TransferFirmware(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Bring an image to the meter and have it verified there; it is not activated.

    Attributes:
        identifier: The image's, as the meter is to know it (class 18, image_identifier).
        size: Octets of the image.
        not_after: The image's own last date.
        hardware: What the meter must say of its type; None where the image fits all of its kind.
        minimum_version: What the meter's firmware must be at least before; None for any.
        signature: What the meter must show beside the image once it is verified, in hex; None
            where the maker tells none.
        manifest: What two release keys have signed; no gateway acts without.
    """

    identifier: Text
    size: Annotated[int, msgspec.Meta(ge=1, le=IMAGE_OCTETS_MAX)]
    not_after: UtcTime
    hardware: Text | None = None
    minimum_version: Text | None = None
    signature: ImageSignature | None = None
    manifest: SignedManifest | None = None


class ActivateFirmware(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Activate the image that the gateway has brought and the meter has verified.

    Attributes:
        version: What the meter's active firmware identifier must say afterwards.
        not_after: The image's own last date.
        at: When to do it; None for at once.
        manifest: What two release keys have signed; no gateway acts without.
    """

    version: Text
    not_after: UtcTime
    at: UtcTime | None = None
    manifest: SignedManifest | None = None


class UpdateGateway(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetch an image for the gateway itself, and go over to it if it proves itself."""

    manifest: SignedManifest


AboutImage = TransferFirmware | ActivateFirmware | UpdateGateway


def transfer_of(document: SignedManifest) -> TransferFirmware:
    """Return what brings the image of a manifest to a meter.

    Raises:
        Refused: it is no manifest.
    """
    said = manifest.contents(document)
    return TransferFirmware(
        identifier=said.identifier or said.version,
        size=said.size,
        not_after=said.not_after,
        hardware=None if said.hardware == manifest.ANY else said.hardware,
        minimum_version=said.minimum_version,
        signature=said.signature,
        manifest=document,
    )


def activation_of(document: SignedManifest, at: datetime | None = None) -> ActivateFirmware:
    """Return what activates the image of a manifest; see `transfer_of`."""
    said = manifest.contents(document)
    return ActivateFirmware(
        version=said.version, not_after=said.not_after, at=at, manifest=document
    )


def check(wanted: AboutImage, image_hash: str | None, keys: Keyring) -> Manifest:
    """Return the manifest of a command that says of its image what two release keys have signed.

    Its date is the caller's to look at: `Manifest.check_time`.

    Raises:
        Forged: not signed by two of ``keys``.
        Refused: it is about another image, or says something else of it.
    """
    document = wanted.manifest
    if document is None:
        raise Refused("the command carries no manifest of its image")
    said = manifest.read(document, keys)
    if said.image_hash != image_hash:
        raise Refused("the manifest is that of another image")
    is_for = "gateway" if isinstance(wanted, UpdateGateway) else "meter"
    if said.type != is_for:
        raise Refused(f"the image is for a {said.type}, not for a {is_for}")
    match wanted:
        case TransferFirmware():
            agrees = wanted == transfer_of(document)
        case ActivateFirmware(at=at):
            agrees = wanted == activation_of(document, at)
        case UpdateGateway():
            agrees = True
    if not agrees:
        raise Refused("the command says something else of the image than its manifest")
    return said


def image_of(wanted: object) -> str | None:
    """Return the SHA-256 that a command with these parameters is bound to; None for no image.

    Raises:
        Refused: they carry no manifest.
    """
    if not isinstance(wanted, AboutImage):
        return None
    if wanted.manifest is None:
        raise Refused("an image needs the manifest that two release keys have signed")
    return manifest.contents(wanted.manifest).image_hash
