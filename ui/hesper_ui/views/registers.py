"""In which order registers are shown: energy, power, voltage, current, then the rest."""

from collections.abc import Sequence

from hesper_ui.services import LatestValue

RELAY = "0.0.96.3.10.255"
_TIME_INTEGRAL, _INSTANTANEOUS = "8", "7"
_VOLTAGES, _CURRENTS = ("32", "52", "72"), ("31", "51", "71", "91")


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
