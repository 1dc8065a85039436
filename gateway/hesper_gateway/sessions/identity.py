"""Who a meter says it is."""

from dataclasses import dataclass

from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, ServiceError

from hesper_gateway.errors import MeterDistrusted, WrongMeter
from hesper_gateway.sessions.association import Association
from hesper_gateway.templates.model import ObjectsTemplate

DATA_CLASS = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """What a meter answers about itself; empty text where it has no such object."""

    logical_device_name: str
    serial_number: str = ""
    firmware: str = ""
    model: str = ""


def name_told(value: Data | ServiceError) -> str:
    """Return what a meter answered for its logical device name, without padding.

    Raises:
        MeterDistrusted: it did not tell its name.
    """
    if isinstance(value, ServiceError):
        raise MeterDistrusted(f"the meter does not tell its logical device name: {value}")
    return _text(value)


async def read_identity(
    association: Association, objects: ObjectsTemplate, logical_device_name: str
) -> Identity:
    """Return what the meter tells of itself besides its logical device name.

    Raises:
        MeterFailed: the meter cannot be read.
    """
    wanted = {
        "serial_number": objects.serial_number,
        "firmware": objects.firmware,
        "model": objects.model,
    }
    present = {name: _data(where) for name, where in wanted.items() if where is not None}
    values = await association.get_each(list(present.values()))
    texts = {
        name: _text(value)
        for name, value in zip(present, values, strict=True)
        if isinstance(value, Data)
    }
    return Identity(logical_device_name=logical_device_name, **texts)


def check_name(expected: str | None, found: str) -> None:
    """Compare the configured logical device name with the one that answered.

    Raises:
        WrongMeter: they differ, or none is configured.
    """
    if expected is None or expected != found:
        raise WrongMeter(expected or "(none configured)", found)


def _data(logical_name: bytes) -> CosemAttribute:
    return CosemAttribute(DATA_CLASS, logical_name, 2)


def _text(value: Data) -> str:
    try:
        return value.as_text().strip("\x00 ")
    except DecodeError:
        return str(value.value)
