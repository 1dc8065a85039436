"""What registers are called, and in which order they are shown: energy, power, voltage …"""

from collections.abc import Sequence

from hesper_ui.services import LatestValue
from hesper_ui.words import later, say

RELAY = "0.0.96.3.10.255"
NAMES = (
    later("Active energy import"),
    later("Active energy export"),
    later("Reactive energy import"),
    later("Reactive energy export"),
    later("Apparent energy import"),
    later("Apparent energy export"),
    later("Active power import"),
    later("Active power export"),
    later("Reactive power import"),
    later("Reactive power export"),
    later("Apparent power import"),
    later("Power factor"),
    later("Frequency"),
    later("Current L1"),
    later("Current L2"),
    later("Current L3"),
    later("Current neutral"),
    later("Voltage L1"),
    later("Voltage L2"),
    later("Voltage L3"),
)
"""The cloud's names of quantities, as catalogues translate them; a vendor's own are shown as is."""
_TIME_INTEGRAL, _INSTANTANEOUS = "8", "7"
_VOLTAGES, _CURRENTS = ("32", "52", "72"), ("31", "51", "71", "91")


def name_of(row: LatestValue) -> str:
    """Returns what a register is called, in the language of the page."""
    return say(row.name) if row.name in NAMES else row.name


def ordered(rows: Sequence[LatestValue]) -> list[LatestValue]:
    """Returns the registers as people read them; the relay stands in the status line instead."""
    return sorted((row for row in rows if row.logical_name != RELAY), key=_place)


def _place(row: LatestValue) -> tuple[int, int, str]:
    """Places a quantity by value groups C (what) and D (how) of its code (IEC 62056-6-1, 5)."""
    _, _, what, how, *_ = row.logical_name.split(".")
    if how == _TIME_INTEGRAL:
        group = 0
    elif what in _VOLTAGES:
        group = 2
    elif what in _CURRENTS:
        group = 3
    elif how == _INSTANTANEOUS and int(what) < 13:
        group = 1
    else:
        group = 4
    return group, int(what), row.logical_name
