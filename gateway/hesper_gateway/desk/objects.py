"""Objects named on the command line, and what was read of them."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import BitString, Data, plain
from hesper_dlms.errors import ServiceError
from hesper_dlms.units import ScalerUnit, symbol

from hesper_gateway.explain.readable import readable

SCALED = {3: 3, 4: 3, 5: 4}
"""Class id of registers → the attribute that holds their scaler_unit."""


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
