"""Units of the Blue Book (DLMS UA 1000-1, clause 4.3.2, `unit`) and the scaler_unit pair."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hesper_dlms.axdr import Data, enum, integer, structure
from hesper_dlms.errors import DecodeError


class Unit(IntEnum):
    """The unit codes met in electricity, gas, water and heat meters."""

    YEAR = 1
    MONTH = 2
    WEEK = 3
    DAY = 4
    HOUR = 5
    MINUTE = 6
    SECOND = 7
    DEGREE = 8
    DEGREE_CELSIUS = 9
    CURRENCY = 10
    METRE = 11
    METRE_PER_SECOND = 12
    CUBIC_METRE = 13
    CORRECTED_CUBIC_METRE = 14
    CUBIC_METRE_PER_HOUR = 15
    CORRECTED_CUBIC_METRE_PER_HOUR = 16
    CUBIC_METRE_PER_DAY = 17
    CORRECTED_CUBIC_METRE_PER_DAY = 18
    LITRE = 19
    KILOGRAM = 20
    NEWTON = 21
    NEWTON_METRE = 22
    PASCAL = 23
    BAR = 24
    JOULE = 25
    JOULE_PER_HOUR = 26
    WATT = 27
    VOLT_AMPERE = 28
    VAR = 29
    WATT_HOUR = 30
    VOLT_AMPERE_HOUR = 31
    VAR_HOUR = 32
    AMPERE = 33
    COULOMB = 34
    VOLT = 35
    VOLT_PER_METRE = 36
    FARAD = 37
    OHM = 38
    OHM_METRE = 39
    WEBER = 40
    TESLA = 41
    AMPERE_PER_METRE = 42
    HENRY = 43
    HERTZ = 44
    PER_WATT_HOUR = 45
    PER_VAR_HOUR = 46
    PER_VOLT_AMPERE_HOUR = 47
    VOLT_SQUARED_HOUR = 48
    AMPERE_SQUARED_HOUR = 49
    KILOGRAM_PER_SECOND = 50
    SIEMENS = 51
    KELVIN = 52
    PER_VOLT_SQUARED_HOUR = 53
    PER_AMPERE_SQUARED_HOUR = 54
    PER_CUBIC_METRE = 55
    PERCENT = 56
    AMPERE_HOUR = 57
    WATT_HOUR_PER_CUBIC_METRE = 60
    JOULE_PER_CUBIC_METRE = 61
    MOLE_PERCENT = 62
    GRAM_PER_CUBIC_METRE = 63
    PASCAL_SECOND = 64
    JOULE_PER_KILOGRAM = 65
    GRAM_PER_SQUARE_CENTIMETRE = 66
    ATMOSPHERE = 67
    DECIBEL_MILLIWATT = 70
    DECIBEL_MICROVOLT = 71
    DECIBEL = 72
    OTHER = 254
    COUNT = 255

    @property
    def symbol(self) -> str:
        """The unit's symbol; empty for a plain count."""
        return _SYMBOLS[self]


_SYMBOL_LIST = (
    "a mo wk d h min s ° °C ¤ m m/s m³ m³ m³/h m³/h m³/d m³/d l kg N Nm Pa bar J J/h W VA var Wh "
    "VAh varh A C V V/m F Ω Ωm Wb T A/m H Hz 1/Wh 1/varh 1/VAh V²h A²h kg/s S K 1/V²h "
    "1/A²h 1/m³ % Ah Wh/m³ J/m³ Mol% g/m³ Pa·s J/kg g/cm² atm dBm dBµV dB other "
)
_SYMBOLS = dict(zip(Unit, _SYMBOL_LIST.split(" "), strict=True))


def symbol(code: int) -> str:
    """Return the symbol of a unit code, `unit 143` for one that is not in the table."""
    try:
        return Unit(code).symbol
    except ValueError:
        return f"unit {code}"


SCALER_UNIT_OF = {(3, 2): 3, (4, 2): 3, (5, 2): 4, (5, 3): 4}
"""(class_id, attribute_id) of a register's value → the attribute that holds its scaler_unit."""


class ScalerUnit(NamedTuple):
    """scaler_unit: the value is the integer times 10 to the power of `scaler`, in `unit`."""

    scaler: int
    unit: int

    @classmethod
    def from_data(cls, data: Data) -> ScalerUnit:
        """Read the structure {integer scaler, enum unit}.

        Raises:
            DecodeError: Another shape, or numbers out of range.
        """
        items = data.as_items()
        if len(items) != 2:
            raise DecodeError(f"scaler_unit has 2 items, not {len(items)}")
        scaler, unit = items[0].as_int(), items[1].as_int()
        if not -128 <= scaler <= 127 or not 0 <= unit <= 255:
            raise DecodeError(f"scaler_unit {scaler}, {unit} is out of range")
        return cls(scaler, unit)

    def to_data(self) -> Data:
        """Return the structure {integer scaler, enum unit}."""
        return structure(integer(self.scaler), enum(self.unit))
