"""The registers of a meter (class 3): name, scaler, unit, width and where the value is from."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import isqrt
from typing import Final, NamedTuple

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.units import ScalerUnit, Unit

from hesper_sim.grid import phase_shares
from hesper_sim.meter import Meter

Value = Callable[[Meter, int], int]

REGISTER: Final = 3
_DOUBLE_LONG_UNSIGNED: Final = struct.Struct(">BI")
_LONG_UNSIGNED: Final = struct.Struct(">BH")


class Register(NamedTuple):
    """One register; `value` gives it at a time in epoch seconds, unscaled."""

    scaler_unit: ScalerUnit
    layout: struct.Struct
    tag: axdr.Tag
    value: Value

    def octets(self, meter: Meter, at: int) -> bytes:
        """Return the encoded value."""
        return self.layout.pack(self.tag, self.value(meter, at))


def _wide(scaler: int, unit: Unit, value: Value) -> Register:
    return Register(
        ScalerUnit(scaler, unit), _DOUBLE_LONG_UNSIGNED, axdr.Tag.DOUBLE_LONG_UNSIGNED, value
    )


def _narrow(scaler: int, unit: Unit, value: Value) -> Register:
    return Register(ScalerUnit(scaler, unit), _LONG_UNSIGNED, axdr.Tag.LONG_UNSIGNED, value)


def _phase_voltage(phase: int) -> Register:
    return _narrow(-1, Unit.VOLT, lambda meter, at: meter.voltages_dv(at)[phase])


def _phase_current(phase: int) -> Register:
    return _narrow(-2, Unit.AMPERE, lambda meter, at: meter.measure(at).currents_ca[phase])


def _tariff(place: int, tariff: int) -> Register:
    """Return one of two tariff registers: the first has 62 % of the total, the second the rest."""

    def value(meter: Meter, at: int) -> int:
        total = meter.energy_wh(at)[place]
        first = total * _FIRST_TARIFF_PERCENT // 100
        return first if tariff == 1 else total - first

    return _wide(0, Unit.WATT_HOUR, value)


_FIRST_TARIFF_PERCENT: Final = 62


def of_phase(phase: int, quantity: int, kind: int = 7, part: int = 0) -> bytes:
    """Return the logical name of a quantity of one phase (IEC 62056-6-1, table of group C).

    Args:
        phase: 0 to 2.
        quantity: Group C of the whole meter's, as 1 for active power imported; phase one is 20
            on.
        kind: Group D: 7 instantaneous, 8 since the beginning.
        part: Group E: 0 the whole, 124 total harmonic distortion.
    """
    return bytes((1, 0, quantity + 20 * (phase + 1), kind, part, 255))


def _share(meter: Meter, phase: int, total: int) -> int:
    """Return the part of a meter's total that one phase has; the third has what is left."""
    shares = phase_shares(meter.plan.place)
    parts = [total * share // 100 for share in shares[:2]]
    return (*parts, total - sum(parts))[phase]


def _phase_registers(phase: int) -> dict[bytes, Register]:
    """Return what a meter measures of one phase beside its voltage and current."""
    return {
        of_phase(phase, 1): _wide(
            0, Unit.WATT, lambda meter, at: _share(meter, phase, meter.power_w(at).active_import)
        ),
        of_phase(phase, 3): _wide(
            0, Unit.VAR, lambda meter, at: _share(meter, phase, meter.power_w(at).reactive)
        ),
        of_phase(phase, 1, 8): _wide(
            0, Unit.WATT_HOUR, lambda meter, at: _share(meter, phase, meter.import_wh(at))
        ),
        of_phase(phase, 13): _narrow(
            -3, Unit.COUNT, lambda meter, at: meter.measure(at).power_factor_permille
        ),
        of_phase(phase, 12, 7, _DISTORTION): _narrow(
            -1, Unit.PERCENT, lambda meter, at: _voltage_distortion(meter, at, phase)
        ),
        of_phase(phase, 11, 7, _DISTORTION): _narrow(
            -1, Unit.PERCENT, lambda meter, at: _current_distortion(meter, at, phase)
        ),
    }


def _voltage_distortion(meter: Meter, at: int, phase: int) -> int:
    """Return total harmonic distortion, tenths of a percent: the further off 230 V, the more."""
    return 14 + abs(2300 - meter.voltages_dv(at)[phase]) // 10


def _current_distortion(meter: Meter, at: int, phase: int) -> int:
    """Return the same of the current: small loads are mostly electronics."""
    return 40 + 16_000 // (100 + meter.measure(at).currents_ca[phase])


def _neutral_current(meter: Meter, at: int) -> int:
    """Return what three currents 120° apart leave, without their phase angles."""
    first, second, third = meter.measure(at).currents_ca
    return isqrt(first**2 + second**2 + third**2 - first * second - second * third - third * first)


_DISTORTION: Final = 124
_NEUTRAL_CURRENT: Final = obis.parse("1.0.91.7.0.255")

REGISTERS: Final[dict[bytes, Register]] = {
    obis.ACTIVE_ENERGY_IMPORT: _wide(0, Unit.WATT_HOUR, lambda meter, at: meter.import_wh(at)),
    obis.ACTIVE_ENERGY_EXPORT: _wide(
        0, Unit.WATT_HOUR, lambda meter, at: meter.energy_wh(at).active_export
    ),
    obis.ACTIVE_ENERGY_IMPORT_T1: _tariff(0, 1),
    obis.ACTIVE_ENERGY_IMPORT_T2: _tariff(0, 2),
    obis.ACTIVE_ENERGY_EXPORT_T1: _tariff(1, 1),
    obis.ACTIVE_ENERGY_EXPORT_T2: _tariff(1, 2),
    obis.REACTIVE_ENERGY_IMPORT: _wide(
        0, Unit.VAR_HOUR, lambda meter, at: meter.energy_wh(at).reactive
    ),
    obis.REACTIVE_ENERGY_EXPORT: _wide(0, Unit.VAR_HOUR, lambda _meter, _at: 0),
    obis.APPARENT_ENERGY_IMPORT: _wide(
        0, Unit.VOLT_AMPERE_HOUR, lambda meter, at: meter.energy_wh(at).apparent
    ),
    obis.ACTIVE_POWER_IMPORT: _wide(
        0, Unit.WATT, lambda meter, at: meter.power_w(at).active_import
    ),
    obis.ACTIVE_POWER_EXPORT: _wide(
        0, Unit.WATT, lambda meter, at: meter.power_w(at).active_export
    ),
    obis.REACTIVE_POWER_IMPORT: _wide(0, Unit.VAR, lambda meter, at: meter.power_w(at).reactive),
    obis.APPARENT_POWER_IMPORT: _wide(
        0, Unit.VOLT_AMPERE, lambda meter, at: meter.power_w(at).apparent
    ),
    obis.VOLTAGE_L1: _phase_voltage(0),
    obis.VOLTAGE_L2: _phase_voltage(1),
    obis.VOLTAGE_L3: _phase_voltage(2),
    obis.CURRENT_L1: _phase_current(0),
    obis.CURRENT_L2: _phase_current(1),
    obis.CURRENT_L3: _phase_current(2),
    obis.POWER_FACTOR: _narrow(
        -3, Unit.COUNT, lambda meter, at: meter.measure(at).power_factor_permille
    ),
    obis.FREQUENCY: _narrow(-2, Unit.HERTZ, lambda meter, at: meter.measure(at).frequency_chz),
    **_phase_registers(0),
    **_phase_registers(1),
    **_phase_registers(2),
    _NEUTRAL_CURRENT: _narrow(-2, Unit.AMPERE, _neutral_current),
}
"""Every register by logical name."""

REGISTER_VALUES: Final = {
    CosemAttribute(REGISTER, name, 2).to_octets(): register for name, register in REGISTERS.items()
}
"""Every register by the descriptor of its value, as it stands in a request."""
