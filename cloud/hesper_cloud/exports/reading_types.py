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
_PHASES = {31: 128, 32: 128, 33: 128, 51: 64, 52: 64, 53: 64, 71: 32, 72: 32, 73: 32, 91: 16}
"""PhaseCode (A 128, B 64, C 32, N 16) by value group C of the logical name."""
_REVERSE = frozenset({2, 4, 10, 22, 42, 62})
_FORWARD = frozenset({1, 3, 9, 21, 41, 61})
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
    commodity: int = 1  # electricity, secondary metered

    def mrid(self) -> str:
        """Returns the eighteen numbers (IEC 61968-9, annex C.2)."""
        period = _PERIODS.get(self.period_s, 0)
        head = (0, 0, period, self.accumulation, self.flow, self.commodity, self.kind)
        tail = (self.phase, self.multiplier, self.unit, 0)
        return ".".join(map(str, (*head, *(0,) * 7, *tail)))


def reading_type(quantity: Quantity, period_s: int, *, delta: bool) -> ReadingType:
    """Returns the reading type of a quantity.

    Args:
        quantity: What is measured.
        period_s: How often it is captured.
        delta: Whether an energy register is given as its advance per interval.
    """
    group_c = int(quantity.logical_name.split(".")[2])
    unit = _UNITS.get(quantity.unit, 0)
    accumulation = INSTANTANEOUS
    if unit in _ENERGIES:
        accumulation = DELTA if delta or is_of_interval(quantity.logical_name) else BULK
    flow = 19 if group_c in _REVERSE else 1 if group_c in _FORWARD else 0
    kind = _KINDS.get(unit, POWER_FACTOR if group_c in {13, 33, 53, 73} else 0)
    return ReadingType(
        period_s if unit in _ENERGIES else 0,
        accumulation,
        flow,
        kind,
        _PHASES.get(group_c, 0),
        quantity.scaler,
        unit,
    )


def is_register(quantity: Quantity) -> bool:
    """Says whether a quantity is an energy register, whose advance is what an interval brought."""
    is_energy = _UNITS.get(quantity.unit) in _ENERGIES
    return is_energy and not is_of_interval(quantity.logical_name)
