"""What of a register that only rises was read wrong, as its values before and after tell.

- A value lies between the one before and the one after. One that does not, while the value after
  is no lower than the one before, was read wrong: neither an exchange of the meter nor the end of
  its digits brings a register back to where it was. Where two values contradict each other and both
  fit between their neighbours, neither can be relied on.
- A leap, an advance that no load can make, is no energy where it begins below what the register
  showed before, or ends above what it shows later.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation.registers import advance, leaps
from hesper_cloud.validation.sheet import Grid

_UNKNOWN = 2**62  # more than any value that is summed


@dataclass(frozen=True, slots=True, eq=False)
class Misread:
    """Which values of a grid were read wrong, and which leaps between them are no energy."""

    values: Flags
    leaps: Flags

    @property
    def intervals(self) -> Flags:
        """The intervals that have no energy for it."""
        found: Flags = self.leaps | self.values[:, :-1] | self.values[:, 1:]
        return found


def misread(grid: Grid, limits: Thresholds, period_s: int) -> Misread:
    """Returns what of a register that only rises was read wrong, as the grid alone tells."""
    before = _last_before(grid.known, grid.values, _UNKNOWN)
    after = _last_before(grid.known[:, ::-1], grid.values[:, ::-1], -_UNKNOWN)[:, ::-1]
    wrong = grid.known & _out_of_line(before, grid.values, after)
    wrong[:, 1:] &= ~advance(grid, limits, period_s).rolled
    return Misread(wrong, leaps(grid, limits, period_s) & _from_nowhere(grid))


def misread_of(values: Sequence[int]) -> list[bool]:
    """Says which of a register's values, ascending in time, were read wrong."""
    shown = np.array([_UNKNOWN, *values, -_UNKNOWN], dtype=np.int64)
    found: list[bool] = _out_of_line(shown[:-2], shown[1:-1], shown[2:]).tolist()
    return found


def lowest_to_come(grid: Grid) -> Integers:
    """Returns of each capture the lowest value from it on."""
    later = np.where(grid.known, grid.values, _UNKNOWN)[:, ::-1]
    return np.minimum.accumulate(later, axis=1)[:, ::-1]


def highest_so_far(grid: Grid) -> Integers:
    """Returns of each capture the highest value up to it."""
    return np.maximum.accumulate(np.where(grid.known, grid.values, -_UNKNOWN), axis=1)


def _out_of_line(before: Integers, values: Integers, after: Integers) -> Flags:
    found: Flags = (before <= after) & ((values < before) | (values > after))
    return found


def _last_before(known: Flags, values: Integers, nothing: int) -> Integers:
    """Returns the last known value before each capture; ``nothing`` where there is none."""
    columns = np.arange(1, known.shape[1] + 1)
    last = np.maximum.accumulate(np.where(known, columns, 0), axis=1)[:, :-1]
    shown = np.pad(values, ((0, 0), (1, 0)), constant_values=nothing)
    return np.take_along_axis(shown, np.pad(last, ((0, 0), (1, 0))), axis=1)


def _from_nowhere(grid: Grid) -> Flags:
    """Says which intervals begin or end where the register does not stand."""
    begins_below = grid.values[:, :-1] < highest_so_far(grid)[:, :-1]
    ends_above = grid.values[:, 1:] > lowest_to_come(grid)[:, 1:]
    found: Flags = begins_below | ends_above
    return found
