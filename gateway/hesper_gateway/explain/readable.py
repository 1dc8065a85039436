"""Values made readable: text where octets are text, times as times."""

from __future__ import annotations

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DlmsError

_DATE_TIME_OCTETS = 12


def readable(data: Data) -> str:
    """Return a value for people: text where octets are text, times as times."""
    value = data.value
    if data.tag in (Tag.OCTET_STRING, Tag.DATE_TIME) and isinstance(value, bytes):
        if len(value) == _DATE_TIME_OCTETS and (moment := _moment(value)):
            return moment
        if value and all(0x20 <= octet < 0x7F for octet in value):
            return f'"{value.decode("ascii")}" ({value.hex()})'
        return value.hex() or "(empty)"
    if isinstance(value, tuple):
        return "{" + ", ".join(readable(item) for item in value) + "}"
    return "null" if value is None else printable(str(value))


def printable(text: str) -> str:
    """Return what a meter said as a terminal may get it: nothing in it moves or colours."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _moment(octets: bytes) -> str | None:
    """Return the local time as the meter says it, with its deviation (minutes to UTC) if any."""
    try:
        said = CosemDateTime.from_octets(octets)
        local = said.local().isoformat(sep=" ")
    except DlmsError:
        return None
    return local if said.deviation is None else f"{local} (deviation {said.deviation})"
