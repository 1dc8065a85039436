"""What a quantity is in the words of IEC 61968-9, annex C, which Green Button (ESPI) shares.

A reading type is eighteen numbers with dots between; those that do not apply are 0.
"""

from typing import NamedTuple

from hesper_cloud.quantities import is_of_interval
from hesper_cloud.stores.port import Quantity

_UNITS = {
    27: 38, 28: 61, 29: 63, 30: 72, 31: 71, 32: 73, 33: 5, 35: 29, 44: 33, 255: 0,
    9: 23, 13: 42, 14: 42, 15: 125, 16: 125, 19: 134, 25: 31,
}  # fmt: skip
"""UnitSymbolKind by unit of the Blue Book's table: W, VA, var, Wh, VAh, varh, A, V, Hz; °C, m³ and
m³/h as measured and corrected, litres, J."""
_KINDS = {
    72: 12, 71: 12, 73: 12, 31: 12, 38: 37, 61: 37, 63: 37, 5: 4, 29: 54, 33: 15, 42: 58, 134: 58,
}  # fmt: skip
"""MeasurementKind by unit: energy, power, current, voltage, frequency, volume."""
_ENERGIES = frozenset({31, 71, 72, 73})
_VOLUMES = frozenset({42, 134})
_POWERS = frozenset({38, 61, 63})
_ELECTRICITY = 1
_COMMODITIES = {_ELECTRICITY: 1, 5: 13, 6: 12, 7: 7, 8: 9, 9: 9}
"""CommodityKind by value group A: electricity (secondary metered), what cools, what heats, natural
gas, drinking water cold and hot. What A = 0 measures, as on an M-Bus channel, its name leaves open.
"""
_SERVICES = {5: 4, 6: 4, 7: 1, 8: 2, 9: 2}
"""ServiceKind by value group A: heat, gas, water."""
_AVERAGE, _HIGHEST, _LOWEST = 2, 8, 9
_AGGREGATES = {
    **dict.fromkeys((3, 13, 23), _LOWEST),
    **dict.fromkeys((4, 5, 14, 15, 24, 25, 27, 28), _AVERAGE),
    **dict.fromkeys((6, 16, 26), _HIGHEST),
}
"""AggregateKind, Green Button's DataQualifierKind, by value group D: of a measuring period."""
_LAST_STATE = 3
"""Up to this D, volumes are those that an index shows, now or at the end of a billing period."""
_PERIODS = {60: 3, 300: 6, 600: 1, 900: 2, 1800: 5, 3600: 7, 86_400: 4}
"""Code of the measuring period by its seconds."""
_PER_PHASE = 20
"""Value group C of the logical name counts what is measured anew for each phase."""
_PHASES = {1: 128, 2: 64, 3: 32}
"""PhaseCode (A, B, C) by the twenties of C; the first are those of all phases."""
_NEUTRAL = {91: 16, 92: 16}
_FLOWS = {1: 1, 2: 19, 3: 1, 4: 19, 5: 15, 6: 16, 7: 17, 8: 18, 9: 1, 10: 19, 15: 20, 16: 4}
"""FlowDirectionKind by C within its twenty: forward 1, reverse 19, quadrants, total 20, net 4."""
_FACTOR = 13
BULK, DELTA, INDICATING, INSTANTANEOUS = 1, 4, 6, 12
DEMAND, POWER_FACTOR = 8, 38


class ReadingType(NamedTuple):
    """The attributes that both standards know, as numbers."""

    period_s: int
    accumulation: int
    flow: int
    kind: int
    phase: int
    multiplier: int
    unit: int
    tariff: int
    commodity: int
    aggregate: int

    def mrid(self) -> str:
        """Returns the eighteen numbers (IEC 61968-9, annex C.2)."""
        period = _PERIODS.get(self.period_s, 0)
        head = (0, self.aggregate, period, self.accumulation, self.flow, self.commodity, self.kind)
        tail = (self.phase, self.multiplier, self.unit, 0)
        return ".".join(map(str, (*head, *(0,) * 4, self.tariff, 0, 0, *tail)))


def reading_type(quantity: Quantity, period_s: int, *, delta: bool) -> ReadingType:
    """Returns the reading type of a quantity.

    Args:
        quantity: What is measured.
        period_s: How often it is captured.
        delta: Whether an energy register is given as its advance per interval.
    """
    medium, _, group_c, processing, rate, _ = map(int, quantity.logical_name.split("."))
    is_electric = medium == _ELECTRICITY
    twenty, measured = divmod(group_c, _PER_PHASE) if is_electric else (0, 0)
    measured = measured if twenty <= len(_PHASES) else 0
    unit = _UNITS.get(quantity.unit, 0)
    is_energy = unit in _ENERGIES
    aggregate = _AGGREGATES.get(processing, 0) if is_electric and not is_energy else 0
    kind = _KINDS.get(unit, POWER_FACTOR if measured == _FACTOR else 0)
    return ReadingType(
        period_s if is_energy else 0,
        _accumulation(quantity, delta=delta, is_aggregate=bool(aggregate)),
        _FLOWS.get(measured, 0),
        DEMAND if aggregate and unit in _POWERS else kind,
        _PHASES.get(twenty) or (_NEUTRAL.get(group_c, 0) if is_electric else 0),
        quantity.scaler,
        unit,
        rate if is_energy else 0,
        _COMMODITIES.get(medium, 0),
        aggregate,
    )


def _accumulation(quantity: Quantity, *, delta: bool, is_aggregate: bool) -> int:
    """Returns the AccumulationKind: how values of one time belong to those before."""
    unit, name = _UNITS.get(quantity.unit, 0), quantity.logical_name
    if unit in _ENERGIES:
        return DELTA if delta or is_of_interval(name) else BULK
    if unit in _VOLUMES:
        medium, _, _, processing, *_ = map(int, name.split("."))
        return BULK if not medium or processing <= _LAST_STATE else 0
    return INDICATING if is_aggregate else INSTANTANEOUS


def service_kind(quantity: Quantity) -> int:
    """Returns the ServiceKind of Green Button; what names no medium goes with electricity."""
    return _SERVICES.get(int(quantity.logical_name.split(".")[0]), 0)


def is_register(quantity: Quantity) -> bool:
    """Says whether a quantity is an energy register, whose advance is what an interval brought."""
    is_energy = _UNITS.get(quantity.unit) in _ENERGIES
    return is_energy and not is_of_interval(quantity.logical_name)
