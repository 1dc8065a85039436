"""What is asked first in every association: the clock and the name."""

from collections.abc import Callable
from dataclasses import dataclass

from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import ServiceError

from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.clock import CLOCK_CLASS
from hesper_gateway.sessions.identity import DATA_CLASS
from hesper_gateway.templates.model import ObjectsTemplate


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a meter says of its clock and its name, and when it was asked and answered, epoch s."""

    clock: Data | ServiceError
    name: Data | ServiceError
    asked_at: float
    answered_at: float


async def ask_greeting(
    association: Association, objects: ObjectsTemplate, now: Callable[[], float]
) -> Greeting:
    """Return what the meter says.

    Raises:
        MeterFailed: it cannot be read.
    """
    asked_at = now()
    clock, name = await association.get_each(
        [
            CosemAttribute(CLOCK_CLASS, objects.clock, 2),
            CosemAttribute(DATA_CLASS, objects.logical_device_name, 2),
        ]
    )
    return Greeting(clock, name, asked_at, now())
