"""Attributes that are written as a whole, in order, and read back before they count as written."""

from collections.abc import Sequence
from typing import NamedTuple

from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import ServiceError

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal


class Setting(NamedTuple):
    """An attribute, what it is called in a text, and what it is to hold."""

    name: str
    attribute: CosemAttribute
    value: Data


async def differing(association: Association, settings: Sequence[Setting]) -> str:
    """Return the names of the settings that the meter holds otherwise; empty when none.

    Raises:
        MeterFailed: one cannot be read, or is not shown to this client.
    """
    try:
        told = await association.get_each([setting.attribute for setting in settings])
    except ServiceError as error:
        raise refusal(error, f"{settings[0].name} cannot be read") from error
    names = []
    for setting, value in zip(settings, told, strict=True):
        if isinstance(value, ServiceError):
            raise refusal(value, f"{setting.name} cannot be read") from value
        if value != setting.value:
            names.append(setting.name)
    return ", ".join(names)


async def write(association: Association, settings: Sequence[Setting]) -> str:
    """Write settings in order and read all of them back; return what is wrong, or nothing.

    Where the meter declines one, those before it stay written, and the text names them.

    Raises:
        WriteUncertain: the meter fell silent; nobody knows which of them it holds.
    """
    name = settings[0].name
    try:
        for count, (name, attribute, value) in enumerate(settings):
            try:
                await association.set(attribute, value)
            except ServiceError as error:
                before = ", ".join(each.name for each in settings[:count])
                written = f"; written before it: {before}" if before else ""
                return f"the meter declines {name}: {error}{written}"
        names = await differing(association, settings)
    except MeterFailed as error:
        raise WriteUncertain(f"{name} was written, then: {error}") from error
    return f"read back: the meter holds other {names}" if names else ""
