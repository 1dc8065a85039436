"""Image transfer (class 18, Blue Book, 4.4.6): a new firmware in blocks, checked, activated.

    initiate -> INITIATED -- blocks in any order, again after any interruption -->
    verify   -> VERIFICATION_INITIATED (temporary-failure while it lasts)
                -> VERIFICATION_SUCCESSFUL | VERIFICATION_FAILED
    activate -> ACTIVATION_INITIATED -> reboot -> ACTIVATION_SUCCESSFUL, new version

An image for these meters begins with `HSPFW`, the version as text with its length, the firmware
itself and the SHA-256 of all that. Another maker's image, one that arrived damaged or one whose
identifier is not its version is refused, the first at its first block already. Blocks, status and
version are journalled, so a power cut at any block costs that block alone.
"""

from __future__ import annotations

import hashlib
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import ActionResult
from hesper_dlms.classes.keys_and_images import ImageBlock, ImageToTransfer
from hesper_dlms.classes.keys_and_images import ImageTransferStatus as ImageStatus
from hesper_dlms.classes.structure import kind_of

from hesper_sim.district import District
from hesper_sim.event_codes import EventCode
from hesper_sim.faults import Fault
from hesper_sim.meter import Meter
from hesper_sim.nonvolatile import Image
from hesper_sim.objects.cosem_object import (
    IMAGE_TRANSFER,
    SCRIPT_TABLE,
    CosemObject,
    Subject,
    computed,
    encoded,
    refused,
)
from hesper_sim.objects.tariff import IMAGE_SCRIPTS

MAGIC: Final = b"HSPFW"
BLOCK_SIZE: Final = 200
LARGEST: Final = 4 << 20
VERIFICATION_S: Final = 1.0
ACTIVATION_S: Final = 1.0
_ENABLED: Final = 5
_DIGEST_OCTETS: Final = 32
_TO_TRANSFER: Final = kind_of(ImageToTransfer)
_BLOCK: Final = kind_of(ImageBlock)


def build(version: str, size: int = 4096) -> bytes:
    """Return an image of at least `size` octets that these meters accept as this version."""
    name = version.encode("ascii")
    head = MAGIC + bytes((len(name),)) + name
    filler = hashlib.shake_256(head).digest(max(size - len(head) - _DIGEST_OCTETS, 1))
    return head + filler + hashlib.sha256(head + filler).digest()


def version_of(image: bytes) -> str | None:
    """Return the version that an image holds; None for an image that must not be activated."""
    length = image[len(MAGIC)] if image.startswith(MAGIC) and len(image) > len(MAGIC) else 0
    begin = len(MAGIC) + 1
    sound = hashlib.sha256(image[:-_DIGEST_OCTETS]).digest() == image[-_DIGEST_OCTETS:]
    if not length or not sound:
        return None
    return image[begin : begin + length].decode("ascii", "replace")


def _image(subject: Subject) -> Image | None:
    kept = subject.district.known(subject.meter)
    if kept is None or kept.image is None:
        return None
    settle(subject.district, subject.meter, kept.image)
    return kept.image


def settle(district: District, meter: Meter, image: Image) -> None:
    """Carry on what takes time: end a verification or an activation whose time has come."""
    if district.clock() < image.due_at:
        return
    if image.status is ImageStatus.VERIFICATION_INITIATED:
        version = version_of(image.octets())
        sound = version is not None and version.encode() == image.identifier
        status = ImageStatus.VERIFICATION_SUCCESSFUL if sound else ImageStatus.VERIFICATION_FAILED
        _change(district, meter, image, status)
        code = EventCode.FIRMWARE_READY if sound else EventCode.FIRMWARE_VERIFICATION_FAILED
        district.log_event([meter], code)
    elif image.status is ImageStatus.ACTIVATION_INITIATED:
        version = version_of(image.octets())
        if version is None:
            _change(district, meter, image, ImageStatus.ACTIVATION_FAILED)
            return
        _change(district, meter, image, ImageStatus.ACTIVATION_SUCCESSFUL)
        district.record(meter, "firmware", version=version)
        district.remembered(meter).firmware = version
        district.log_event([meter], EventCode.FIRMWARE_ACTIVATED)
        district.reboot(meter)


def _change(district: District, meter: Meter, image: Image, status: ImageStatus) -> None:
    district.record(meter, "image", step="status", status=int(status))
    image.status = status


def _initiate(subject: Subject, parameters: bytes | None) -> None:
    identifier, size = _TO_TRANSFER.decode(axdr.decode(parameters or b""))
    _check_enabled(subject)
    if not 0 < size <= LARGEST or not 0 < len(identifier) <= 64:
        raise refused(ActionResult.OTHER_REASON)
    image = Image(identifier, size, BLOCK_SIZE)
    subject.district.record(
        subject.meter,
        "image",
        step="initiate",
        identifier=image.identifier.hex(),
        size=image.size,
        block_size=image.block_size,
    )
    subject.district.remembered(subject.meter).image = image


def _check_enabled(subject: Subject) -> None:
    if not axdr.decode(IMAGE_TRANSFER_OBJECT.get(subject, _ENABLED)).value:
        raise refused(ActionResult.READ_WRITE_DENIED)


def _take_block(subject: Subject, parameters: bytes | None) -> None:
    _check_enabled(subject)
    image = _image(subject)
    number, octets = _BLOCK.decode(axdr.decode(parameters or b""))
    if image is None or image.status is not ImageStatus.INITIATED:
        raise refused(ActionResult.OTHER_REASON)
    last = image.block_count - 1
    wanted = image.size - last * image.block_size if number == last else image.block_size
    if number > last or len(octets) != wanted:
        raise refused(ActionResult.OTHER_REASON)
    if number == 0 and not octets.startswith(MAGIC[: len(octets)]):
        raise refused(ActionResult.TYPE_UNMATCHED)
    district, meter = subject.district, subject.meter
    if meter.faults.get(Fault.POWER_CUT) == number:
        district.end(meter, Fault.POWER_CUT)
        district.reboot(meter)
        raise refused(ActionResult.HARDWARE_FAULT)
    if number not in image.blocks:
        district.record(meter, "image", step="block", number=number, octets=octets.hex())
        image.blocks[number] = district.shared(octets)


def _verify(subject: Subject, _parameters: bytes | None) -> None:
    _check_enabled(subject)
    image = _image(subject)
    if image is None or image.first_missing < image.block_count:
        raise refused(ActionResult.OTHER_REASON)
    if image.status is ImageStatus.VERIFICATION_SUCCESSFUL:
        return
    if image.status is ImageStatus.VERIFICATION_FAILED:
        raise refused(ActionResult.OTHER_REASON)
    if image.status is ImageStatus.INITIATED:
        image.due_at = subject.district.clock() + VERIFICATION_S
        _change(subject.district, subject.meter, image, ImageStatus.VERIFICATION_INITIATED)
    raise refused(ActionResult.TEMPORARY_FAILURE)


def _activate(subject: Subject, _parameters: bytes | None) -> None:
    image = _image(subject)
    if image is None:
        raise refused(ActionResult.OTHER_REASON)
    if image.status is ImageStatus.ACTIVATION_INITIATED:
        raise refused(ActionResult.TEMPORARY_FAILURE)
    begin_activation(subject.district, subject.meter)


def begin_activation(district: District, meter: Meter) -> None:
    """Begin to activate a verified image; ServiceError when there is none."""
    kept = district.known(meter)
    image = kept.image if kept is not None else None
    if image is None or image.status is not ImageStatus.VERIFICATION_SUCCESSFUL:
        raise refused(ActionResult.OTHER_REASON)
    image.due_at = district.clock() + ACTIVATION_S
    _change(district, meter, image, ImageStatus.ACTIVATION_INITIATED)
    district.later(ACTIVATION_S, lambda: _time_is_up(district, meter, image))


def _time_is_up(district: District, meter: Meter, image: Image) -> None:
    # The timer may come a moment before the clock of the fleet says so.
    image.due_at = min(image.due_at, district.clock())
    settle(district, meter, image)


def _bitmap(subject: Subject) -> axdr.Data:
    image = _image(subject)
    if image is None:
        return axdr.bit_string("")
    there = (number in image.blocks for number in range(image.block_count))
    return axdr.bit_string("".join("01"[each] for each in there))


def _first_missing(subject: Subject) -> axdr.Data:
    image = _image(subject)
    return axdr.double_long_unsigned(image.first_missing if image else 0)


def _status(subject: Subject) -> axdr.Data:
    image = _image(subject)
    return axdr.enum(image.status if image else ImageStatus.NOT_INITIATED)


def _to_activate(subject: Subject) -> axdr.Data:
    image = _image(subject)
    if image is None or image.status is not ImageStatus.VERIFICATION_SUCCESSFUL:
        return axdr.array()
    return axdr.array(
        axdr.structure(
            axdr.double_long_unsigned(image.size),
            axdr.octet_string(image.identifier),
            axdr.octet_string(image.octets()[-_DIGEST_OCTETS:]),
        )
    )


IMAGE_TRANSFER_OBJECT: Final = CosemObject(
    IMAGE_TRANSFER,
    obis.IMAGE_TRANSFER,
    readers={
        2: computed(lambda _subject: axdr.double_long_unsigned(BLOCK_SIZE)),
        3: computed(_bitmap),
        4: computed(_first_missing),
        6: computed(_status),
        7: computed(_to_activate),
    },
    settings=encoded(a5=axdr.boolean(True)),
    methods={1: _initiate, 2: _take_block, 3: _verify, 4: _activate},
)
IMAGES: Final = (
    IMAGE_TRANSFER_OBJECT,
    CosemObject(
        SCRIPT_TABLE,
        IMAGE_SCRIPTS,
        settings=encoded(
            a2=axdr.array(axdr.structure(axdr.long_unsigned(1), axdr.array())),
        ),
        fixed=frozenset({2}),
        methods={1: _activate},
    ),
)
