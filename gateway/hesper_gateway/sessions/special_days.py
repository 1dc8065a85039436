"""Special days (IEC 62056-6-2, class 11): the dates on which another day profile counts."""

from collections.abc import Sequence

from hesper_contracts.parameters import SpecialDay
from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import ServiceError

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal

_CLASS, _ENTRIES = 11, 2
_ANY_YEAR, _ANY = 0xFFFF, 0xFF


def encoded(days: Sequence[SpecialDay]) -> Data:
    """Return the table as it is written, numbered from 1 in the order given."""
    return axdr.array(
        *(
            axdr.structure(
                axdr.long_unsigned(index),
                axdr.octet_string(_date(day)),
                axdr.unsigned(day.day_id),
            )
            for index, day in enumerate(days, start=1)
        )
    )


async def holds(association: Association, where: bytes, days: Sequence[SpecialDay]) -> bool:
    """Return whether the meter's table is this one.

    Raises:
        MeterFailed: it cannot be read, or is not shown to this client.
    """
    attribute = CosemAttribute(_CLASS, where, _ENTRIES)
    try:
        (told,) = await association.get_each([attribute])
        if isinstance(told, ServiceError):
            raise told
    except ServiceError as error:
        raise refusal(error, "special days cannot be read") from error
    return told == encoded(days)


async def write(association: Association, where: bytes, days: Sequence[SpecialDay]) -> str:
    """Write the whole table and read it back; return what is wrong, or nothing.

    Raises:
        WriteUncertain: the meter fell silent; nobody knows which table it holds.
    """
    try:
        try:
            await association.set(CosemAttribute(_CLASS, where, _ENTRIES), encoded(days))
        except ServiceError as error:
            return f"the meter declines: {error}"
        is_written = await holds(association, where, days)
    except MeterFailed as error:
        raise WriteUncertain(f"special days were written, then: {error}") from error
    return "" if is_written else "read back: the meter holds another table"


def _date(day: SpecialDay) -> bytes:
    year = _ANY_YEAR if day.year is None else day.year
    return year.to_bytes(2, "big") + bytes((day.month, day.day, _ANY))
