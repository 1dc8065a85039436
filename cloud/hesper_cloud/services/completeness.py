"""How many of the captures that were due are stored, hour by hour.

A meter's captures are due at the multiples of its capture period, up to one period ago: what was
latched just now may still be on its way. They are due from the moment it is on record, or from its
first stored capture where it brought a history with it. A meter of unknown period that has stored
no load profile has none to store: it pushes what it likes. Captures in the same slot count once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores.port import Integers

HOUR_S = 3600
_NONE = np.zeros(0, dtype=np.int64)


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
    """Since when a meter is on record, and how often it captures; None while nobody knows."""

    since: int
    period_s: int | None


def count(
    meters: Mapping[str, Due], captured: Mapping[str, Integers], now: int, default_s: int
) -> Ledger:
    """Counts the last 24 whole and begun hours.

    Args:
        meters: The meters that are commissioned.
        captured: Stored capture times by meter, ascending.
        now: Epoch seconds.
        default_s: The period of a meter whose own is not known yet.
    """
    first = now // HOUR_S * HOUR_S - 23 * HOUR_S
    hours = first + HOUR_S * np.arange(24, dtype=np.int64)
    due, stored = np.zeros(24, dtype=np.int64), np.zeros(24, dtype=np.int64)
    for meter, owes in meters.items():
        times = captured.get(meter, _NONE)
        if owes.period_s is None and not len(times):
            continue
        period_s = owes.period_s or default_s
        since = min(owes.since, int(times[0])) if len(times) else owes.since
        until = now - period_s
        start = -(-max(first, since) // period_s) * period_s
        slots = np.arange(start, until, period_s, dtype=np.int64)
        due += np.bincount((slots - first) // HOUR_S, minlength=24)[:24]
        if not len(slots):
            continue
        met = np.unique(times[(times >= slots[0]) & (times < until)] // period_s)
        places = (met * period_s - first) // HOUR_S
        stored += np.bincount(places[(places >= 0) & (places < 24)], minlength=24)[:24]
    return Ledger(hours, due, np.minimum(stored, due))
