"""What registers show on the days before and after that of a sheet.

A leap at an end of a day may come from a register that was read wrong at midnight. Only its values
beyond that end can tell.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from hesper_cloud.aggregates.totals import Beyond, highest_so_far, leaps, lowest_to_come
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation.sheet import Grid, Sheet


def leapt(sheet: Sheet, limits: Thresholds) -> list[int]:
    """Returns the rows in which a register grew by more than any load can make it."""
    rows = np.zeros(len(sheet.meters), bool)
    for grid in _registers(sheet):
        rows |= leaps(grid, limits, sheet.period_s).any(axis=1)
    found: list[int] = np.flatnonzero(rows).tolist()
    return found


def beyond(sheet: Sheet, rows: list[int], wide: Sheet) -> Mapping[str, Beyond]:
    """Returns by logical name what a longer sheet, of some rows alone, shows around a sheet."""
    first, last = np.searchsorted(wide.times, sheet.times[[0, -1]])
    found = {}
    for grid in _registers(sheet):
        like = wide.grids.get(grid.quantity.logical_name)
        if like is None or like.quantity.unit != grid.quantity.unit:
            continue
        finer = 10 ** max(grid.quantity.scaler - like.quantity.scaler, 0)
        each = Beyond.nothing(len(sheet.meters))
        each.highest_before[rows] = -(-highest_so_far(like)[:, first - 1] // finer)
        each.lowest_after[rows] = lowest_to_come(like)[:, last + 1] // finer
        found[grid.quantity.logical_name] = each
    return found


def reaching_out(sheet: Sheet) -> Iterator[tuple[str, int]]:
    """Yields meters, and by how many days further on another day may add up otherwise now.

    A register that begins the day above what it shows later may have been read wrong at the end of
    the day before, one that ends it below what it showed before at the beginning of the day after.
    """
    for grid in _registers(sheet):
        known, values = grid.known, grid.values
        from_above = known[:, 0] & (lowest_to_come(grid)[:, 0] < values[:, 0])
        to_below = known[:, -1] & (highest_so_far(grid)[:, -1] > values[:, -1])
        for days, rows in ((-1, from_above), (1, to_below)):
            yield from ((sheet.meters[row], days) for row in np.flatnonzero(rows))


def _registers(sheet: Sheet) -> Iterator[Grid]:
    return (each for each in sheet.grids.values() if each.is_register and not each.may_fall)
