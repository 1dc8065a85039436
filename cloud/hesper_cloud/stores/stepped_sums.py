"""Sums of one day over meters, at every usual step at once, from rows in the order of meters.

Pure: columns in, integers out. Totals are exact however many meters there are: the upper and lower
32 bits of the values are summed apart.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.port import Flags, Integers

DAY_S = 86_400
STEPS = (900, 1800, 3600, DAY_S)  # each a multiple of the one before
_HALF = 32
_LOWER = 2**_HALF - 1
_HIGH, _LOW, _METERS = range(3)
SAFE = 2**62
"""Growth between values that are not farther from zero than this fits into 64 bits."""


class Rows(NamedTuple):
    """Values of one quantity, ascending by meter and time; the meters as any integers."""

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


class DayTotals:
    """Sums of the day that begins at `start`; rows come in parts, each meter in one of them."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._tables = {step: np.zeros((3, DAY_S // step), np.int64) for step in STEPS}

    def add_levels(self, rows: Rows) -> None:
        """Adds each meter's last value in each step."""
        inside = (rows.captured_at >= self._start) & (rows.captured_at < self._start + DAY_S)
        rows = rows.at(inside)
        for step in STEPS:
            rows = rows.at(_last_of_step(rows, (rows.captured_at - self._start) // step))
            self._add(step, (rows.captured_at - self._start) // step, rows.value)
            self._count(step, (rows.captured_at - self._start) // step)

    def add_growth(self, rows: Rows) -> None:
        """Adds how much each value is above the one before; a row belongs to the step it ends."""
        growth = Rows(rows.meter[1:], rows.captured_at[1:] - 1, np.diff(rows.value))
        ended = growth.captured_at
        growth = growth.at(
            (rows.meter[1:] == rows.meter[:-1])
            & (growth.value >= 0)
            & (ended >= self._start)
            & (ended < self._start + DAY_S)
        )
        for step in STEPS:
            place = (growth.captured_at - self._start) // step
            self._add(step, place, growth.value)
            self._count(step, place[_last_of_step(growth, place)])

    def _add(self, step: int, place: Integers, value: Integers) -> None:
        np.add.at(self._tables[step][_HIGH], place, value >> _HALF)
        np.add.at(self._tables[step][_LOW], place, value & _LOWER)

    def _count(self, step: int, place: Integers) -> None:
        self._tables[step][_METERS] += np.bincount(place, minlength=DAY_S // step)

    def sums(self) -> Iterator[StepSum]:
        """Yields the sums of those steps in which some meter took part."""
        for step, table in self._tables.items():
            for place in np.flatnonzero(table[_METERS]).tolist():
                high, low, meters = table[:, place].tolist()
                yield StepSum(step, self._start + place * step, (high << _HALF) + low, meters)


def _last_of_step(rows: Rows, place: Integers) -> Flags:
    last = np.ones(len(place), dtype=bool)
    last[:-1] = (place[1:] != place[:-1]) | (rows.meter[1:] != rows.meter[:-1])
    return last
