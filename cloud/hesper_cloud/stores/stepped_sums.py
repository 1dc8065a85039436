"""Sums over meters by step, from rows in the order of meters.

Pure: columns in, integers out. Totals are exact however many meters there are and however large
their values: the upper and lower 32 bits are summed apart, and what 64 bits do not hold as the
integers of Python.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.port import Flags, Integers

DAY_S = 86_400
STEPS = (900, 1800, 3600, DAY_S)  # each a multiple of the one before
_SAFE = 2**62  # growth between values that are not farther from zero fits 64 bits
_HALF = 32
_LOWER = 2**_HALF - 1


class Rows(NamedTuple):
    """Values of one quantity, ascending by meter and time; the meters as any integers.

    Values that 64 bits may not hold are objects.
    """

    meter: Integers
    captured_at: Integers
    value: Integers

    def at(self, chosen: Flags) -> "Rows":
        """Returns the rows of a mask."""
        if chosen.all():
            return self
        return Rows(self.meter[chosen], self.captured_at[chosen], self.value[chosen])


class StepSum(NamedTuple):
    """The sum of one step: how long it is, when it starts, the total, and of how many meters."""

    step_s: int
    at: int
    total: int
    meters: int


class StepTotals:
    """Sums by steps of one length; rows come in parts, each meter in one of them."""

    def __init__(self, step_s: int) -> None:
        self._step_s = step_s
        self._sums: dict[int, tuple[int, int]] = {}

    def add_levels(self, rows: Rows) -> Rows:
        """Adds each meter's last value in each step; returns these."""
        rows = rows.at(_last_of_step(rows, rows.captured_at // self._step_s))
        self._add(rows.captured_at // self._step_s, rows.value, slice(None))
        return rows

    def add_growth(self, growth: Rows) -> None:
        """Adds what `growth` returns."""
        steps = growth.captured_at // self._step_s
        self._add(steps, growth.value, _last_of_step(growth, steps))

    def _add(self, steps: Integers, value: Integers, counted: Flags | slice) -> None:
        """Adds values to their steps, and to each a meter for every row that is counted."""
        if not len(steps):
            return
        distinct, place = _places(steps)
        totals = _totals(place, value, len(distinct))
        meters = np.bincount(place[counted], minlength=len(distinct)).tolist()
        for step, total, count in zip(distinct, totals, meters, strict=True):
            if count:
                before = self._sums.get(step, (0, 0))
                self._sums[step] = (before[0] + total, before[1] + count)

    def sums(self) -> Iterator[StepSum]:
        """Yields the sums of those steps in which some meter took part, ascending."""
        for step, (total, meters) in sorted(self._sums.items()):
            yield StepSum(self._step_s, step * self._step_s, total, meters)


class DayTotals:
    """Sums of the day that begins at `start`, at every usual step."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._totals = [StepTotals(step) for step in STEPS]

    def add_levels(self, rows: Rows) -> None:
        """Adds each meter's last value in each step."""
        rows = self._inside(rows)
        for totals in self._totals:
            rows = totals.add_levels(rows)

    def add_growth(self, rows: Rows) -> None:
        """Adds how much each value is above the one before."""
        grown = self._inside(growth(rows))
        for totals in self._totals:
            totals.add_growth(grown)

    def _inside(self, rows: Rows) -> Rows:
        at = rows.captured_at
        return rows.at((at >= self._start) & (at < self._start + DAY_S))

    def sums(self) -> Iterator[StepSum]:
        """Yields the sums of those steps in which some meter took part."""
        return chain.from_iterable(totals.sums() for totals in self._totals)


def growth(rows: Rows) -> Rows:
    """Returns how much values are above the meter's one before, of those that are not below it.

    Each is dated a second early: a capture at a step's end belongs to that step.
    """
    value = rows.value if fits(rows.value) else rows.value.astype(object)
    grown = Rows(rows.meter[1:], rows.captured_at[1:] - 1, np.diff(value))
    return grown.at((rows.meter[1:] == rows.meter[:-1]) & (grown.value >= 0))


def fits(value: Integers, factor: int = 1) -> bool:
    """Says whether 64 bits hold values times a factor, and growth between them."""
    return not len(value) or max(abs(int(value.min())), int(value.max())) * factor <= _SAFE


def _last_of_step(rows: Rows, steps: Integers) -> Flags:
    last = np.ones(len(steps), dtype=bool)
    last[:-1] = (steps[1:] != steps[:-1]) | (rows.meter[1:] != rows.meter[:-1])
    return last


def _places(steps: Integers) -> tuple[Sequence[int], Integers]:
    """Returns all steps, ascending, mostly with those between them, and the place of each."""
    first, last = int(steps.min()), int(steps.max())
    if last - first <= len(steps):  # a fifth of the time
        return range(first, last + 1), steps - first
    distinct, place = np.unique(steps, return_inverse=True)
    return distinct.tolist(), place


def _totals(place: Integers, value: Integers, count: int) -> list[int]:
    """Returns what values add up to at each place."""
    if value.dtype == object:
        return _added(place, value, count)
    high, low = (_added(place, half, count) for half in (value >> _HALF, value & _LOWER))
    return [(upper << _HALF) + lower for upper, lower in zip(high, low, strict=True)]


def _added(place: Integers, value: Integers, count: int) -> list[int]:
    table = np.zeros(count, value.dtype)
    np.add.at(table, place, value)
    return table.tolist()
