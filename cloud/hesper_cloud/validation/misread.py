"""Which values of a register were read wrong, as those before and after them show.

A register that only rises lies between the value before and the value after. One that does not,
while the value after is no lower than the one before, was read wrong: neither an exchange of the
meter nor the end of its digits brings a register back to where it was. Where two values contradict
each other and both fit between their neighbours, neither can be relied on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.validation.sheet import Grid

UNKNOWN = 2**62
"""More than any value that is summed."""


@dataclass(frozen=True, slots=True, eq=False)
class Beyond:
    """What each meter's register shows outside of a sheet, in the steps of its grid there.

    Attributes:
        highest_before: Up to a day before it.
        lowest_after: Up to a day after it.
        last_before: The value before it, however far away.
        first_after: The value after it, likewise.
    """

    highest_before: Integers
    lowest_after: Integers
    last_before: Integers
    first_after: Integers

    @classmethod
    def nothing(cls, meters: int) -> "Beyond":
        """Returns what is known where nobody looked."""
        low, high = (np.full(meters, value) for value in (-UNKNOWN, UNKNOWN))
        return cls(low.copy(), high.copy(), high.copy(), low.copy())


def misread(grid: Grid, beyond: Beyond | None = None) -> Flags:
    """Says which captures of a grid were read wrong; of a register that may fall none."""
    nowhere = np.zeros(grid.known.shape, bool)
    if not grid.is_register or grid.may_fall:
        return nowhere
    around = beyond or Beyond.nothing(len(grid.values))
    before = _filled(grid, around.last_before)[:, :-1]
    after = _filled(grid, around.first_after, backwards=True)[:, 1:]
    return grid.known & _out_of_line(before, grid.values, after)


def misread_of(values: Sequence[int]) -> list[bool]:
    """Says the same of a register's values, ascending in time."""
    shown = np.array([UNKNOWN, *values, -UNKNOWN], dtype=np.int64)
    found: list[bool] = _out_of_line(shown[:-2], shown[1:-1], shown[2:]).tolist()
    return found


def _out_of_line(before: Integers, values: Integers, after: Integers) -> Flags:
    found: Flags = (before <= after) & ((values < before) | (values > after))
    return found


def _filled(grid: Grid, outside: Integers, *, backwards: bool = False) -> Integers:
    """Returns the last known value up to each capture, from outside of the sheet on; or the next.

    There is one column more than captures: that from outside.
    """
    known, values = grid.known, grid.values
    if backwards:
        known, values = known[:, ::-1], values[:, ::-1]
    known = np.pad(known, ((0, 0), (1, 0)), constant_values=True)
    values = np.column_stack([outside, values])
    last = np.maximum.accumulate(np.where(known, np.arange(values.shape[1]), 0), axis=1)
    found = np.take_along_axis(values, last, axis=1)
    return found[:, ::-1] if backwards else found
