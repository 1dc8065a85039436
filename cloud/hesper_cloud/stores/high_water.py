"""The newest stored capture per profile and meter: rows beyond it cannot be stored yet.

With it the common case, a batch of captures newer than everything before, needs no look into the
store at all; only rows at or below the mark are compared with what is there.
"""

import numpy as np

from hesper_cloud.stores.port import Flags, Integers

_NEVER = np.iinfo(np.int64).min


class HighWater:
    """Marks by profile key and meter key; keys are small integers counted from 0."""

    def __init__(self) -> None:
        self._marks: dict[int, Integers] = {}

    def _of(self, profile: int, meters: Integers) -> Integers:
        marks = self._marks.get(profile, np.empty(0, dtype=np.int64))
        needed = int(meters.max(initial=-1)) + 1
        if needed > len(marks):
            grown = np.full(max(needed, 2 * len(marks)), _NEVER, dtype=np.int64)
            grown[: len(marks)] = marks
            self._marks[profile] = marks = grown
        return marks

    def at_or_below(self, profile: int, meters: Integers, captured_at: Integers) -> Flags:
        """Returns the mask of rows that may be stored already."""
        below: Flags = captured_at <= self._of(profile, meters)[meters]
        return below

    def raise_to(self, profile: int, meters: Integers, captured_at: Integers) -> None:
        """Raises the marks to rows that are durably stored now."""
        np.maximum.at(self._of(profile, meters), meters, captured_at)
