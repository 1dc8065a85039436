"""The days beside that of a sheet, which alone can tell that a register was read wrong at midnight.

They are read where a register falls or leaps anywhere from the capture before the day to the one
after it. Where it does not, every value lies between its neighbours, and nothing was read wrong.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation.misread import Misread, highest_so_far, lowest_to_come, misread
from hesper_cloud.validation.registers import leaps, rising
from hesper_cloud.validation.sheet import Sheet


def at_ends(times: Integers, period_s: int) -> tuple[Integers, Integers]:
    """Returns a day's first capture with the one before, and its last with the one after."""
    first, last = int(times[0]), int(times[-1])
    return np.array([first - period_s, first]), np.array([last, last + period_s])


def falls_or_leaps(sheet: Sheet, limits: Thresholds) -> Flags:
    """Says of each meter whether a register falls, or grows by more than any load can make it."""
    found = np.zeros(len(sheet.meters), bool)
    for grid in rising(sheet):
        found |= leaps(grid, limits, sheet.period_s).any(axis=1)
        found |= (grid.known & (lowest_to_come(grid) < grid.values)).any(axis=1)
    return found


def misread_by(
    sheet: Sheet, limits: Thresholds, rows: Sequence[int], wide: Sheet
) -> dict[str, Misread]:
    """Returns by logical name what of a sheet was read wrong.

    Args:
        sheet: One day.
        limits: What the meters can take at most.
        rows: Meters of which a longer sheet tells it.
        wide: That sheet, of these meters alone.
    """
    first, last = np.searchsorted(wide.times, sheet.times[[0, -1]])
    told = {}
    for grid in rising(sheet):
        name, unit = grid.quantity.logical_name, grid.quantity.unit
        told[name] = found = misread(grid, limits, sheet.period_s)
        longer = wide.grids.get(name)
        if longer is not None and longer.quantity.unit == unit:
            by_it = misread(longer, limits, sheet.period_s)
            found.values[rows] = by_it.values[:, first : last + 1]
            found.leaps[rows] = by_it.leaps[:, first:last]
    return told


def reaching_out(sheet: Sheet) -> Iterator[tuple[str, int]]:
    """Yields meters, and by how many days further on another day may add up otherwise now.

    A register that begins the day above what it shows later may have been read wrong at the end of
    the day before, one that ends it below what it showed before at the beginning of the day after.
    """
    for grid in rising(sheet):
        known, values = grid.known, grid.values
        from_above = known[:, 0] & (lowest_to_come(grid)[:, 0] < values[:, 0])
        to_below = known[:, -1] & (highest_so_far(grid)[:, -1] > values[:, -1])
        for days, rows in ((-1, from_above), (1, to_below)):
            yield from ((sheet.meters[row], days) for row in np.flatnonzero(rows))
