"""What a quantity is in the words of IEC 61968-9, annex C, which Green Button (ESPI) shares.

A reading type is eighteen numbers with dots between; those that do not apply are 0.
"""

from typing import NamedTuple

from hesper_cloud.quantities import is_of_interval
from hesper_cloud.stores.port import Quantity

_UNITS = {27: 38, 28: 61, 29: 63, 30: 72, 31: 71, 32: 73, 33: 5, 35: 29, 44: 33, 255: 0}
"""UnitSymbolKind by unit of the Blue Book's table: W, VA, var, Wh, VAh, varh, A, V, Hz."""
_KINDS = {72: 12, 71: 12, 73: 12, 38: 37, 61: 37, 63: 37, 5: 4, 29: 54, 33: 15}
"""MeasurementKind by unit: energy, power, current, voltage, frequency."""
_ENERGIES = frozenset({71, 72, 73})
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
BULK, DELTA, INSTANTANEOUS = 1, 4, 12
POWER_FACTOR = 38


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
    commodity: int = 1  # electricity, secondary metered

    def mrid(self) -> str:
        """Returns the eighteen numbers (IEC 61968-9, annex C.2)."""
        period = _PERIODS.get(self.period_s, 0)
        head = (0, 0, period, self.accumulation, self.flow, self.commodity, self.kind)
        tail = (self.phase, self.multiplier, self.unit, 0)
        return ".".join(map(str, (*head, *(0,) * 4, self.tariff, 0, 0, *tail)))


def reading_type(quantity: Quantity, period_s: int, *, delta: bool) -> ReadingType:
    """Returns the reading type of a quantity.

    Args:
        quantity: What is measured.
        period_s: How often it is captured.
        delta: Whether an energy register is given as its advance per interval.
    """
    group_c, rate = (int(quantity.logical_name.split(".")[place]) for place in (2, 4))
    twenty, measured = divmod(group_c, _PER_PHASE)
    measured = measured if twenty <= len(_PHASES) else 0
    unit = _UNITS.get(quantity.unit, 0)
    is_energy, accumulation = unit in _ENERGIES, INSTANTANEOUS
    if is_energy:
        accumulation = DELTA if delta or is_of_interval(quantity.logical_name) else BULK
    return ReadingType(
        period_s if is_energy else 0,
        accumulation,
        _FLOWS.get(measured, 0),
        _KINDS.get(unit, POWER_FACTOR if measured == _FACTOR else 0),
        _PHASES.get(twenty) or _NEUTRAL.get(group_c, 0),
        quantity.scaler,
        unit,
        rate if is_energy else 0,
    )


def is_register(quantity: Quantity) -> bool:
    """Says whether a quantity is an energy register, whose advance is what an interval brought."""
    is_energy = _UNITS.get(quantity.unit) in _ENERGIES
    return is_energy and not is_of_interval(quantity.logical_name)
