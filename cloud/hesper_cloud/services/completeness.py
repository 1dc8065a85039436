"""How many of the captures that were due are stored, hour by hour.

A meter's captures are due at the multiples of its capture period, up to one period ago: what was
latched just now may still be on its way. Captures in the same slot count once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores.port import Integers

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Ledger:
    """Due and stored captures per hour, oldest first; ``hours`` are epoch seconds."""

    hours: Integers
    due: Integers
    stored: Integers

    def percent(self) -> float | None:
        """Returns the share of due captures that are stored, in percent; None before any is due."""
        due = int(self.due.sum())
        return None if due == 0 else 100.0 * int(self.stored.sum()) / due


@dataclass(frozen=True, slots=True)
class Due:
    """Since when a meter owes captures, and how often."""

    since: int
    period_s: int


def count(meters: Mapping[str, Due], captured: Mapping[str, Integers], now: int) -> Ledger:
    """Counts the last 24 whole and begun hours."""
    first = now // HOUR_S * HOUR_S - 23 * HOUR_S
    hours = first + HOUR_S * np.arange(24, dtype=np.int64)
    due, stored = np.zeros(24, dtype=np.int64), np.zeros(24, dtype=np.int64)
    for meter, owes in meters.items():
        start = max(first, owes.since)
        until = now - owes.period_s
        slots = np.arange(
            -(-start // owes.period_s) * owes.period_s, until, owes.period_s, dtype=np.int64
        )
        due += np.bincount((slots - first) // HOUR_S, minlength=24)[:24]
        times = captured.get(meter)
        if times is None or not len(slots):
            continue
        met = np.unique(times[(times >= slots[0]) & (times < until)] // owes.period_s)
        places = (met * owes.period_s - first) // HOUR_S
        stored += np.bincount(places[(places >= 0) & (places < 24)], minlength=24)[:24]
    return Ledger(hours, due, np.minimum(stored, due))
