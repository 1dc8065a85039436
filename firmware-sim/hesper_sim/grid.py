"""A small low-voltage grid: a transformer, feeders of ten homes, voltages that sag with load.

The voltage at a home is the transformer's, less the drop that the feeder's load makes over the
length of cable up to it. Roofs that deliver raise it. Decivolts, milliohms, watts; pure functions
of time and of who is connected.
"""

from __future__ import annotations

from typing import Final, Protocol

TRANSFORMER_DV: Final = 2355
NOMINAL_V: Final = 230
CABLE_MOHM_PER_HOME: Final = 32
_SHARES: Final = ((50, 30, 20), (20, 50, 30), (30, 20, 50))
"""How a home spreads over the phases, in percent, by its place on the feeder."""
_PHASES: Final = 3
_CACHED_TIMES: Final = 64

Voltages = tuple[int, int, int]


class Home(Protocol):
    """What hangs on a feeder."""

    @property
    def place(self) -> int:
        """How far down the cable, 0 nearest to the transformer."""
        ...

    def net_load_w(self, at: int) -> int:
        """Return its net active power at a time in epoch seconds; negative when it delivers."""
        ...


def phase_shares(place: int) -> tuple[int, int, int]:
    """Return the percentages of a home's load on L1, L2 and L3."""
    return _SHARES[place % len(_SHARES)]


class Feeder:
    """One cable with its homes, nearest first."""

    __slots__ = ("_homes", "_loads")

    def __init__(self) -> None:
        self._homes: list[Home] = []
        self._loads: dict[int, tuple[int, int, int]] = {}

    def connect(self, home: Home) -> None:
        """Hang a home on the cable."""
        self._homes.append(home)

    def forget(self) -> None:
        """Drop what was computed, because a home's state has changed."""
        self._loads.clear()

    def voltages_dv(self, at: int, place: int) -> Voltages:
        """Return the three phase voltages at a place, in decivolts."""
        loads = self._loads.get(at)
        if loads is None:
            loads = self._phase_loads(at)
            if len(self._loads) >= _CACHED_TIMES:
                self._loads.clear()
            self._loads[at] = loads
        supply = TRANSFORMER_DV + _swing_dv(at)
        cable_mohm = CABLE_MOHM_PER_HOME * (place + 1)
        first, second, third = (
            max(supply + phase - load * cable_mohm // (NOMINAL_V * 100), 0)
            for phase, load in enumerate(loads)
        )
        return first, second, third

    def _phase_loads(self, at: int) -> tuple[int, int, int]:
        totals = [0] * _PHASES
        for home in self._homes:
            watts = home.net_load_w(at)
            for phase, share in enumerate(phase_shares(home.place)):
                totals[phase] += watts * share // 100
        return totals[0], totals[1], totals[2]


def frequency_chz(at: int) -> int:
    """Return the grid frequency in hundredths of a hertz (49.97 … 50.03), the same everywhere."""
    return 5000 + at // 7 * 2_654_435_761 % 4_294_967_291 % 7 - 3


def _swing_dv(at: int) -> int:
    """Return how the medium voltage wanders over the day, -12 … 12 dV."""
    quarter = at // 900
    return quarter * 40_503 % 65_521 % 25 - 12
