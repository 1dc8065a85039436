"""What firmware commands are told about an image; its SHA-256 is the envelope's ``image_hash``.

One command brings an image to a meter and has it verified there, another one, bound to the same
hash, activates it. An image is good for nothing after its own date, whenever the command was given.
"""

from typing import Annotated

import msgspec

from hesper_contracts.jsonbody import UtcTime

IMAGE_OCTETS_MAX = 64 * 1024 * 1024
HASH_PATTERN = r"^[0-9a-f]{64}\Z"
ImageHash = Annotated[str, msgspec.Meta(pattern=HASH_PATTERN)]
"""SHA-256 of a whole image, in hex."""
Text = Annotated[str, msgspec.Meta(pattern=r"^[ -~]{1,64}\Z")]
"""1 to 64 printable ASCII characters."""


class TransferFirmware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring an image to the meter and have it verified there; it is not activated.

    Attributes:
        identifier: The image's, as the meter is to know it (class 18, image_identifier).
        size: Octets of the image.
        not_after: The image's own last date.
        hardware: What the meter must say of its type; None where the image fits all of its kind.
        minimum_version: What the meter's firmware must be at least before; None for any.
        signature: What the meter must show beside the image once it is verified, in hex; None
            where the maker tells none.
    """

    identifier: Text
    size: Annotated[int, msgspec.Meta(ge=1, le=IMAGE_OCTETS_MAX)]
    not_after: UtcTime
    hardware: Text | None = None
    minimum_version: Text | None = None
    signature: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,512}\Z")] | None = None


class ActivateFirmware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Activate the image that the gateway has brought and the meter has verified.

    Attributes:
        version: What the meter's active firmware identifier must say afterwards.
        not_after: The image's own last date.
        at: When to do it; None for at once.
    """

    version: Text
    not_after: UtcTime
    at: UtcTime | None = None
