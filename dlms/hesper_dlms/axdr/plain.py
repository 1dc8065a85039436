"""COSEM values as plain JSON: typed without guessing, nothing scaled."""

from __future__ import annotations

import math

from hesper_dlms.axdr.data import BitString, Data, Tag

_TIMES = {Tag.DATE_TIME: "date-time", Tag.DATE: "date", Tag.TIME: "time"}


def plain(data: Data) -> object:
    """Return a value that JSON can carry.

    Structure and array become lists, every integer and enum a number, null-data None, an
    octet-string `"hex:…"`, texts themselves, a bit-string `"bits:…"`, date-time `"date-time:…"` in
    hex, floats numbers (a float that JSON cannot carry becomes its name, such as `"nan"`).
    """
    tag, value = data
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return f"{_TIMES.get(tag, 'hex')}:{value.hex()}"
    if isinstance(value, BitString):
        return f"bits:{value}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
