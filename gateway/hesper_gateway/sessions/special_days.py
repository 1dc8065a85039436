"""Special days (IEC 62056-6-2, class 11): the dates on which another day profile counts."""

from collections.abc import Sequence

from hesper_contracts.parameters import SpecialDay
from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data

from hesper_gateway.sessions.settings_written import Setting

_CLASS, _ENTRIES = 11, 2
_ANY_YEAR, _ANY = 0xFFFF, 0xFF


def table(where: bytes, days: Sequence[SpecialDay]) -> Setting:
    """Return the whole table as it is written, numbered from 1 in the order given."""
    return Setting("special days", CosemAttribute(_CLASS, where, _ENTRIES), _encoded(days))


def _encoded(days: Sequence[SpecialDay]) -> Data:
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


def _date(day: SpecialDay) -> bytes:
    year = _ANY_YEAR if day.year is None else day.year
    return year.to_bytes(2, "big") + bytes((day.month, day.day, _ANY))
