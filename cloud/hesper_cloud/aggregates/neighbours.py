"""What registers show on the days before and after that of a sheet.

What an interval at an end of a day brought may come from a register that was read wrong at
midnight. Only its values beyond that end can tell, of which the next may be days away.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hesper_cloud.aggregates.totals import highest_so_far, leaps, lowest_to_come
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation.filling import known_values
from hesper_cloud.validation.misread import UNKNOWN, Beyond
from hesper_cloud.validation.sheet import Grid, Sheet
from hesper_cloud.validation.substitutes import Curve
from hesper_cloud.validation.surroundings import Surroundings


def questionable(sheet: Sheet, limits: Thresholds) -> list[int]:
    """Returns the rows in which the days around may show that a register was read wrong.

    There it grew by more than any load can make it, or it fell, or the day's highest interval is
    its first or its last, and no smaller than a spike.
    """
    rows = np.zeros(len(sheet.meters), bool)
    for grid in _registers(sheet):
        rows |= leaps(grid, limits, sheet.period_s).any(axis=1)
        rows |= (grid.known & (lowest_to_come(grid) < grid.values)).any(axis=1)
        rows |= _is_highest_at_an_end(grid, grid.steps(limits.spike_least_wh))
    found: list[int] = np.flatnonzero(rows).tolist()
    return found


def _is_highest_at_an_end(grid: Grid, least: int) -> Flags:
    both = grid.known[:, :-1] & grid.known[:, 1:]
    growth = np.where(both, np.diff(grid.values, axis=1), 0)
    highest = growth.max(axis=1)
    rows, columns = np.arange(len(growth)), growth.shape[1] - 1
    first, last = both.argmax(axis=1), columns - both[:, ::-1].argmax(axis=1)
    ends = np.maximum(growth[rows, first], growth[rows, last])
    found: Flags = (ends == highest) & (highest > least)
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
        before, there = _first_known(like, slice(first - 1, None, -1))
        each.last_before[rows] = np.where(there, before // finer, UNKNOWN)
        after, there = _first_known(like, slice(last + 1, None))
        each.first_after[rows] = np.where(there, after // finer, -UNKNOWN)
        found[grid.quantity.logical_name] = each
    return found


def _first_known(grid: Grid, columns: slice) -> tuple[Integers, Flags]:
    """Returns each row's first known value in some columns, and whether there is one."""
    known, rows = grid.known[:, columns], np.arange(len(grid.known))
    first = known.argmax(axis=1)
    return grid.values[:, columns][rows, first], known[rows, first]


def lonely(
    sheet: Sheet, rows: Sequence[int], around: Mapping[str, Beyond], silent: frozenset[str]
) -> Iterator[tuple[int, Curve]]:
    """Yields registers whose value before or after the sheet lies further away than a day.

    Nothing comes after the sheet where a meter is silent.
    """
    for name, each in around.items():
        for row in rows:
            meter = sheet.meters[row]
            is_last = each.first_after[row] == -UNKNOWN and meter not in silent
            if is_last or each.last_before[row] == UNKNOWN:
                yield row, Curve(meter, LOAD_PROFILE, name)


def look_far(
    each: Beyond, row: int, grid: Grid, ends: tuple[int, int], found: Surroundings
) -> None:
    """Sets what a register shows next before and after its sheet, which has these ends."""
    if found.found.unit != grid.quantity.unit:
        return
    known = known_values(found)
    times, values = list(known), list(known.values())
    first, after = bisect_left(times, ends[0]), bisect_right(times, ends[1])
    if first:
        each.last_before[row] = _in_steps(values[first - 1], found.found.scaler, grid)
    if after < len(times):
        each.first_after[row] = _in_steps(values[after], found.found.scaler, grid)


def _in_steps(value: int, scaler: int, grid: Grid) -> int:
    finer = scaler - grid.quantity.scaler
    return int(value * 10**finer if finer >= 0 else value // 10**-finer)


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
