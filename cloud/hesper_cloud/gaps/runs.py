"""Which captures are missing: a grid of slots, one per capture period, and runs of empty ones."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.port import Flags, Integers

_FEWEST_TO_LEARN = 8


class Run(NamedTuple):
    """Consecutive missing captures: first and last in epoch seconds, and how many."""

    first: int
    last: int
    length: int


class Due(NamedTuple):
    """When one profile of one meter is due: every period, from ``start`` to ``end``, both included.

    The phase is that of a meter nothing has come from: captures tell their own.
    """

    start: int
    end: int
    period_s: int
    phase: int


class Grid(NamedTuple):
    """Slots of one profile: slot ``n`` is captured at ``(first + n) * period_s + phase``."""

    first: int
    slots: int
    period_s: int
    phase: int

    @classmethod
    def over(cls, start: int, end: int, period_s: int, phase: int) -> "Grid":
        """Returns the slots with ``start <= capture <= end``."""
        first = -(-(start - phase) // period_s)
        return cls(first, max(0, (end - phase) // period_s - first + 1), period_s, phase)

    @classmethod
    def of_run(cls, first: int, last: int, length: int) -> "Grid":
        """Returns the slots of a run by itself, as far apart as it tells; of one slot, a second."""
        period_s = max(1, (last - first) // (length - 1)) if length > 1 else 1
        return cls.over(first, last, period_s, first % period_s)

    def time(self, slot: int) -> int:
        """Returns when a slot is captured, epoch seconds."""
        return (self.first + slot) * self.period_s + self.phase

    def slot(self, at: int) -> int:
        """Returns the slot that an instant is nearest to; it may lie outside of the grid."""
        return (at - self.phase + self.period_s // 2) // self.period_s - self.first

    def missing(self, captured: Integers) -> Flags:
        """Says for each slot whether no capture falls into it; a little late is still in it."""
        empty = np.ones(self.slots, dtype=bool)
        slots = (captured - self.phase + self.period_s // 2) // self.period_s - self.first
        empty[slots[(slots >= 0) & (slots < self.slots)]] = False
        return empty

    def within(self, ranges: Iterable[tuple[int, int]]) -> Flags:
        """Says for each slot whether it lies in one of the ranges, both ends included."""
        covered = np.zeros(self.slots, dtype=bool)
        for begin, end in ranges:
            covered[self._between(begin, end)] = True
        return covered

    def due_in(self, since: int, until: int) -> Flags:
        """Says for each slot whether its capture is due in ``since <= capture < until``."""
        times = (self.first + np.arange(self.slots)) * self.period_s + self.phase
        found: Flags = (since <= times) & (times < until)
        return found

    def filled(self, captured: Integers, begin: int, end: int) -> int:
        """Returns into how many slots of a range, both ends included, a capture falls."""
        return int((~self.missing(captured))[self._between(begin, end)].sum())

    def _between(self, begin: int, end: int) -> slice:
        return slice(max(0, self.slot(begin)), max(0, self.slot(end) + 1))

    def runs(self, flagged: Flags) -> list[Run]:
        """Returns the runs of flagged slots, oldest first."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flagged.view(np.int8), [0]])))
        return [
            Run(self.time(int(begin)), self.time(int(after) - 1), int(after - begin))
            for begin, after in zip(edges[::2], edges[1::2], strict=True)
        ]


def missing_runs(captured: Integers, period_s: int, start: int, end: int) -> list[Run]:
    """Returns the runs of missing captures with ``start <= capture <= end``.

    Args:
        captured: Stored capture times, ascending; at least one.
        period_s: The capture period.
        start: No capture is expected before; epoch seconds.
        end: No capture is expected after; epoch seconds.
    """
    grid = Grid.over(start, end, period_s, phase_of(captured, period_s))
    return grid.runs(grid.missing(captured))


def phase_of(captured: Integers, period_s: int) -> int:
    """Returns the commonest remainder: a few captures may be late, the rest tell the phase."""
    remainders, counts = np.unique(captured % period_s, return_counts=True)
    return int(remainders[counts.argmax()])


def learned_period(captured: Integers) -> int | None:
    """Returns the commonest distance between captures, if there are enough to tell."""
    if len(captured) < _FEWEST_TO_LEARN:
        return None
    distances = np.diff(captured)
    if np.all(distances == distances[0]):  # as nearly always; to sort them takes thrice as long
        return int(distances[0])
    distances, counts = np.unique(distances, return_counts=True)
    return int(distances[counts.argmax()])
