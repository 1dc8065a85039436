"""Image transfer and security setup (Blue Book part 2, clause 4.4): 18, 64."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated, NamedTuple

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    BitText,
    Boolean,
    DoubleLongUnsigned,
    Enum,
    LogicalName,
    Number,
    Octets,
)
from hesper_dlms.key_ids import KeyId


class ImageTransferStatus(IntEnum):
    """How far an image transfer is."""

    NOT_INITIATED = 0
    INITIATED = 1
    VERIFICATION_INITIATED = 2
    VERIFICATION_SUCCESSFUL = 3
    VERIFICATION_FAILED = 4
    ACTIVATION_INITIATED = 5
    ACTIVATION_SUCCESSFUL = 6
    ACTIVATION_FAILED = 7


class ImageToActivateInfo(NamedTuple):
    """An image that waits to be activated; `size` in octets."""

    image_to_activate_size: DoubleLongUnsigned
    image_to_activate_identification: Octets
    image_to_activate_signature: Octets


class ImageTransfer(NamedTuple):
    """Class 18, image transfer; `image_block_size` in octets, one bit per block received."""

    logical_name: LogicalName
    image_block_size: Static[DoubleLongUnsigned] = None
    image_transferred_blocks_status: Dynamic[BitText] = None
    image_first_not_transferred_block_number: Dynamic[DoubleLongUnsigned] = None
    image_transfer_enabled: Static[Boolean] = None
    image_transfer_status: Dynamic[Annotated[int, Number(Tag.ENUM, ImageTransferStatus)]] = None
    image_to_activate_info: Dynamic[tuple[ImageToActivateInfo, ...]] = None


class ImageToTransfer(NamedTuple):
    """What image_transfer_initiate takes; `image_size` in octets."""

    image_identifier: Octets
    image_size: DoubleLongUnsigned


class ImageBlock(NamedTuple):
    """What image_block_transfer takes; blocks count from 0."""

    image_block_number: DoubleLongUnsigned
    image_block_value: Octets


class SecurityPolicy(IntFlag):
    """security_policy of version 1.

    Version 0 has numbers instead, for both directions: 0 nothing, 1 authenticated, 2 encrypted,
    3 both.
    """

    NOTHING = 0
    AUTHENTICATED_REQUEST = 0x04
    ENCRYPTED_REQUEST = 0x08
    SIGNED_REQUEST = 0x10
    AUTHENTICATED_RESPONSE = 0x20
    ENCRYPTED_RESPONSE = 0x40
    SIGNED_RESPONSE = 0x80


class CertificateInfo(NamedTuple):
    """A certificate that the meter holds.

    certificate_entity: 0 server, 1 client, 2 authority, 3 other.
    certificate_type: 0 signature, 1 key agreement, 2 TLS, 3 other.
    """

    certificate_entity: Enum
    certificate_type: Enum
    serial_number: Octets
    issuer: Octets
    subject: Octets
    subject_alt_name: Octets


class SecuritySetup(NamedTuple):
    """Class 64, security setup."""

    logical_name: LogicalName
    security_policy: Static[Enum] = None
    security_suite: Static[Enum] = None
    client_system_title: Dynamic[Octets] = None
    server_system_title: Static[Octets] = None
    certificates: Dynamic[tuple[CertificateInfo, ...]] = None


class WrappedKey(NamedTuple):
    """A key of key_transfer, wrapped with the master key."""

    key_id: Annotated[int, Number(Tag.ENUM, KeyId)]
    key_wrapped: Octets


class AgreementKey(NamedTuple):
    """A key of key_agreement: our ephemeral public key and its signature."""

    key_id: Annotated[int, Number(Tag.ENUM, KeyId)]
    key_data: Octets


_IMAGE_METHODS = {
    "image_transfer_initiate": ImageToTransfer,
    "image_block_transfer": ImageBlock,
    "image_verify": None,
    "image_activate": None,
}
_SECURITY_METHODS = {
    "security_activate": Enum,
    "key_transfer": tuple[WrappedKey, ...],
    "key_agreement": tuple[AgreementKey, ...],
    "generate_key_pair": Enum,
    "generate_certificate_request": Enum,
    "import_certificate": Octets,
    "export_certificate": Data,
    "remove_certificate": Data,
}

CLASSES = (
    *versions(18, "image_transfer", ImageTransfer, methods=_IMAGE_METHODS),
    *versions(
        64,
        "security_setup",
        SecuritySetup,
        {0: 5, 1: 6},
        methods=_SECURITY_METHODS,
    ),
)
