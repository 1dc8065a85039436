"""Image transfer (IEC 62056-6-2, class 18; Blue Book 4.4.6): its attributes and methods.

What the meter declines is a `MeterRefused`, but for the temporary-failure with which it says that
it is busy, as with a verification or activation that takes its time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.axdr import Data
from hesper_dlms.classes.keys_and_images import ImageTransferStatus
from hesper_dlms.errors import DecodeError, InvocationCounterError, ServiceError

from hesper_gateway.errors import Hop, MeterDistrusted, MeterFailed
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal

T = TypeVar("T")

_CLASS = 18
_BLOCK_SIZE, _BLOCKS, _FIRST_MISSING, _ENABLED, _STATUS, _TO_ACTIVATE = 2, 3, 4, 5, 6, 7
_INITIATE, _TAKE_BLOCK, _VERIFY, _ACTIVATE = 1, 2, 3, 4
_LATER = "temporary-failure"
_NOTHING = axdr.integer(0)


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """An image that the meter has verified and would activate (image_to_activate_info)."""

    size: int
    identifier: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class ImageTransfer:
    """The image transfer object of a meter in an open association.

    All calls raise `MeterFailed`.
    """

    association: Association
    where: bytes

    async def is_enabled(self) -> bool:
        """Return image_transfer_enabled."""
        return await self._read(_ENABLED, lambda told: told.value is True)

    async def block_size(self) -> int:
        """Return how many octets every block but the last has."""
        size = await self._read(_BLOCK_SIZE, Data.as_int)
        if size < 1:
            raise MeterDistrusted(f"image_block_size is {size}")
        return size

    async def status(self) -> ImageTransferStatus:
        """Return image_transfer_status."""
        return await self._read(_STATUS, lambda told: ImageTransferStatus(told.as_int()))

    async def missing(self, block_count: int) -> Sequence[int]:
        """Return the numbers of the blocks that the meter does not have, ascending.

        Of a meter whose image_transferred_blocks_status does not fit, these are all from
        image_first_not_transferred_block_number on.
        """
        first = await self._read(_FIRST_MISSING, Data.as_int)
        if first >= block_count:
            return []
        bits = await self._read(_BLOCKS, lambda told: str(told.value))
        if len(bits) < block_count or bits[first] != "0":
            return range(first, block_count)
        return [number for number in range(first, block_count) if bits[number] == "0"]

    async def ready(self) -> list[ReadyImage]:
        """Return image_to_activate_info."""
        return await self._read(
            _TO_ACTIVATE, lambda told: [_ready(each) for each in told.as_items()]
        )

    async def initiate(self, identifier: bytes, size: int) -> bool:
        """Begin with an image, the meter forgets any other; return False when it is too busy."""
        image = axdr.structure(axdr.octet_string(identifier), axdr.double_long_unsigned(size))
        return await self._invoke(_INITIATE, image, "to begin with the image")

    async def send(self, number: int, octets: bytes) -> bool:
        """Send one block, again where that must be; return False when the meter is too busy."""
        block = axdr.structure(axdr.double_long_unsigned(number), axdr.octet_string(octets))
        return await self._invoke(_TAKE_BLOCK, block, f"block {number}")

    async def verify(self) -> bool:
        """Have the image verified; return False when that takes its time."""
        return await self._invoke(_VERIFY, _NOTHING, "to verify the image")

    async def activate(self) -> bool:
        """Activate the verified image; return False when that takes its time."""
        return await self._invoke(_ACTIVATE, _NOTHING, "to activate the image")

    async def _read(self, attribute_id: int, taken: Callable[[Data], T]) -> T:
        attribute = CosemAttribute(_CLASS, self.where, attribute_id)
        try:
            return taken(await self.association.get(attribute))
        except ServiceError as error:
            raise _declined(error, "image transfer cannot be read") from error
        except (DecodeError, ValueError) as error:
            raise MeterDistrusted(f"image transfer, attribute {attribute_id}: {error}") from error

    async def _invoke(self, method_id: int, parameters: Data, what: str) -> bool:
        method = CosemMethod(_CLASS, self.where, method_id)
        try:
            await self.association.action(method, parameters)
        except ServiceError as error:
            if error.name == _LATER:
                return False
            raise _declined(error, f"the meter declines {what}") from error
        return True


def _declined(error: ServiceError, what: str) -> MeterFailed:
    """Return a refusal, or for a meter that has forgotten the association, a broken one."""
    if error.kind == "exception-response" and not isinstance(error, InvocationCounterError):
        return MeterFailed(f"{what}: {error}", Hop.ASSOCIATION)
    return refusal(error, what)


def _ready(told: Data) -> ReadyImage:
    size, identifier, signature = told.as_items()
    return ReadyImage(size.as_int(), identifier.as_octets(), signature.as_octets())
