"""What is said of a firmware image, signed by two people, each with a release key of their own.

Theory of operation: the signatures are made where the release keys are, which is neither the head
end nor a gateway; both hold the public halves alone. The document goes with the image from upload
to activation, in every command that is about it, and whoever acts on it reads it here again: head
end, authority and gateway, each with the keys that it was itself told to trust. Whoever holds one
release key, the head end, or the command key can bring nothing to a meter or gateway.

A seal is a signed section (see `signing`) without its body: length of the key id (1) · key id ·
signature (64). It covers the exact text of the manifest.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import Refused
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.signing import SIGNATURE_LENGTH, Forged, Keyring, Signer

IMAGE_OCTETS_MAX = 64 * 1024 * 1024
HASH_PATTERN = r"^[0-9a-f]{64}\Z"
ImageHash = Annotated[str, msgspec.Meta(pattern=HASH_PATTERN)]
"""SHA-256 of a whole image, in hex."""
Text = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,64}\Z")]
"""1 to 64 printable ASCII characters."""
ImageSignature = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,512}\Z")]
ImageType = Literal["meter", "gateway"]
SEALS_NEEDED = 2
ANY = "any"
_SEALS_MAX = 8
_TEXT_MAX = 4096
_PREFIX = b"firmware manifest 1\x00"
_Seal = Annotated[bytes, msgspec.Meta(min_length=66, max_length=320)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an image is, and for whom.

    Attributes:
        type: What it is for.
        hardware: What a meter must say of its type, a gateway of its machine; ``any`` fits all.
        version: What the meter's active firmware identifier, or the gateway, says afterwards.
        image_hash: SHA-256 of the image.
        size: Its octets.
        not_after: The image's own last date.
        minimum_version: What must be there before, at least; None for any.
        identifier: What class 18 is told; None where that is the version.
        signature: What the meter must show beside the verified image; None where that is unknown.
    """

    type: ImageType
    hardware: Text
    version: Text
    image_hash: ImageHash
    size: Annotated[int, msgspec.Meta(ge=1, le=IMAGE_OCTETS_MAX)]
    not_after: UtcTime
    minimum_version: Text | None = None
    identifier: Text | None = None
    signature: ImageSignature | None = None

    def check_time(self, now: datetime) -> None:
        """Raise Refused when the image is out of date."""
        if now > self.not_after:
            raise Refused(f"the image is good for nothing after {self.not_after.isoformat()}")


class SignedManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The text of a manifest, and the seals that it has so far; base64 in JSON."""

    manifest: Annotated[str, msgspec.Meta(max_length=_TEXT_MAX)]
    seals: Annotated[tuple[_Seal, ...], msgspec.Meta(max_length=_SEALS_MAX)] = ()


def unsigned(manifest: Manifest) -> SignedManifest:
    """Return the document that people sign."""
    return SignedManifest(jsonbody.encode(manifest).decode("ascii"))


def sign(document: SignedManifest, signer: Signer) -> SignedManifest:
    """Return the document with one more seal; a second one by the same key changes nothing."""
    body = document.manifest.encode()
    seal = signer.sign(_PREFIX, body)[len(_PREFIX) : -len(body)]
    if seal in document.seals:
        return document
    return SignedManifest(document.manifest, (*document.seals, seal))


def contents(document: SignedManifest) -> Manifest:
    """Return what a document says, whoever has signed it: to be shown, never to be acted on.

    Raises:
        Refused: it is no manifest.
    """
    return jsonbody.decode(document.manifest.encode(), Manifest)


def read(document: SignedManifest, keys: Keyring) -> Manifest:
    """Return what two different release keys have signed.

    Raises:
        Forged: fewer than two seals by different keys of ``keys`` hold.
        Refused: it is no manifest.
    """
    signers = sealed_by(document, keys)
    if len(signers) < SEALS_NEEDED:
        held = ", ".join(sorted(signers)) or "none"
        raise Forged(f"a manifest needs {SEALS_NEEDED} release keys; those that hold: {held}")
    return contents(document)


def sealed_by(document: SignedManifest, keys: Keyring) -> frozenset[str]:
    """Return the ids of the trusted keys whose seals hold."""
    return frozenset(_holding(document, keys))


def _holding(document: SignedManifest, keys: Keyring) -> Iterable[str]:
    body = document.manifest.encode()
    for seal in document.seals:
        if len(seal) != 1 + seal[0] + SIGNATURE_LENGTH:  # else it would seal a part of the text
            continue
        try:
            keys.verify(_PREFIX, seal + body)
        except Forged:
            continue
        yield seal[1 : 1 + seal[0]].decode("ascii")
