"""What both firmware errands need: who asks for what, at which meter, and with which means."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from hesper_contracts.firmware import ActivateFirmware, TransferFirmware

from hesper_gateway.errors import CommandExpired, Hop, MeterRefused
from hesper_gateway.firmware.download import Downloads
from hesper_gateway.firmware.records import Record, Step, TransferRecords
from hesper_gateway.sessions import MeterSession, Permit
from hesper_gateway.sessions.identity import Identity, read_identity
from hesper_gateway.sessions.image_transfer import ImageTransfer, ReadyImage
from hesper_gateway.sessions.reading import Reading

W = TypeVar("W", TransferFirmware, ActivateFirmware)

SLICE_S = 20.0
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
POLLS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Means:
    """What firmware errands work with.

    Attributes:
        downloads: Fetches images.
        records: What is known of each meter's image.
        now: The proven time; None before the first proof.
        slice_s: How long blocks are sent before others have the line.
        pauses_s: Between attempts at a meter that does not answer, the last one for ever.
        polls_s: Between looks at a meter that verifies or activates, likewise.
    """

    downloads: Downloads
    records: TransferRecords
    now: Callable[[], datetime | None]
    slice_s: float = SLICE_S
    pauses_s: tuple[float, ...] = PAUSES_S
    polls_s: tuple[float, ...] = POLLS_S


@dataclass(frozen=True, slots=True)
class Order(Generic[W]):
    """One firmware command for one meter.

    Attributes:
        session: The meter's.
        expected_ldn: The logical device name that the command names.
        image_hash: SHA-256 of the image.
        wanted: The command's parameters.
        permit: Raises `CommandExpired` when the command's time is over, or the image's.
    """

    session: MeterSession
    expected_ldn: str | None
    image_hash: str
    wanted: W
    permit: Permit

    @property
    def meter(self) -> str:
        """The meter's id."""
        return self.session.meter.id


def both(permit: Permit, not_after: datetime, now: Callable[[], datetime | None]) -> Permit:
    """Return a permit that ends with the command's time or the image's own, whichever is first."""

    def check() -> None:
        permit()
        proven = now()
        if proven is None or proven > not_after:
            raise CommandExpired(f"the image is not valid after {not_after.isoformat()}")

    return check


def image_transfer_of(session: MeterSession, reading: Reading) -> ImageTransfer:
    """Return the meter's image transfer object in an open association.

    Raises:
        MeterRefused: this kind of meter has none.
    """
    where = session.template.objects.image_transfer
    if where is None:
        raise MeterRefused(f"meters of kind {session.template.name} take no images", Hop.GATEWAY)
    return ImageTransfer(reading.association, where)


async def identity_now(reading: Reading) -> Identity:
    """Return who the meter is, read anew: its firmware may have changed since it was first met."""
    name = reading.identity.logical_device_name
    return await read_identity(reading.association, reading.template.objects, name)


def is_this(ready: ReadyImage, image: TransferFirmware) -> bool:
    """Return whether what the meter would activate is the image that was signed."""
    signature = image.signature or ready.signature.hex()
    expected = (image.identifier.encode(), image.size, signature)
    return (ready.identifier, ready.size, ready.signature.hex()) == expected


async def note(means: Means, order: "Order[W]", image: TransferFirmware, step: Step) -> None:
    """Write down how far the meter's image is; durable on return."""
    await means.records.put(order.meter, Record(order.image_hash, image, step))
