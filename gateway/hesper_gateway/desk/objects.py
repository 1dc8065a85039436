"""Objects named on the command line, and values made readable."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import BitString, Data, Tag, plain
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DlmsError, ServiceError
from hesper_dlms.units import ScalerUnit, symbol

SCALED = {3: 3, 4: 3, 5: 4}
"""Class id of registers → the attribute that holds their scaler_unit."""

_DATE_TIME_OCTETS = 12


def name(attribute: CosemAttribute) -> str:
    """Return `3:1.0.1.8.0.255:2`."""
    code = obis.text(attribute.logical_name)
    return f"{attribute.class_id}:{code}:{attribute.attribute_id}"


class Reading(NamedTuple):
    """One attribute as it was read: its value, or why there is none."""

    attribute: CosemAttribute
    value: Data | ServiceError
    scaler_unit: ScalerUnit | None = None

    def to_json(self) -> dict[str, object]:
        """Return the reading in the typed form of values, integer and exponent apart."""
        if isinstance(self.value, ServiceError):
            return {"object": name(self.attribute), "error": str(self.value)}
        shown: dict[str, object] = {"object": name(self.attribute), "value": plain(self.value)}
        if self.scaler_unit is not None:
            shown["scaler"], shown["unit"] = self.scaler_unit
            shown["unit_symbol"] = symbol(self.scaler_unit.unit)
        return shown

    def to_text(self) -> str:
        """Return the value for people."""
        if isinstance(self.value, ServiceError):
            return f"refused: {self.value}"
        if self.scaler_unit is not None and isinstance(self.value.value, int):
            unit = symbol(self.scaler_unit.unit)
            return f"{scaled(self.value.value, self.scaler_unit.scaler)} {unit}".rstrip()
        return readable(self.value)


def scaled(value: int, scaler: int) -> str:
    """Return value · 10^scaler as exact decimal text."""
    if scaler >= 0:
        return str(value * 10**scaler)
    digits = str(abs(value)).rjust(1 - scaler, "0")
    return f"{'-' if value < 0 else ''}{digits[:scaler]}.{digits[scaler:]}"


def plain_value(value: object) -> object:
    """Return a decoded value as JSON carries it: octets as `hex:…`, bits as `bits:…`."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    return f"bits:{value}" if isinstance(value, BitString) else value


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
    return "null" if value is None else str(value)


def _moment(octets: bytes) -> str | None:
    """Return the local time as the meter says it, with its deviation (minutes to UTC) if any."""
    try:
        said = CosemDateTime.from_octets(octets)
        local = said.local().isoformat(sep=" ")
    except DlmsError:
        return None
    return local if said.deviation is None else f"{local} (deviation {said.deviation})"
