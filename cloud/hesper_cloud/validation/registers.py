"""How registers advance from capture to capture, their last digit counted across."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation import checks
from hesper_cloud.validation.sheet import Grid, Sheet


@dataclass(frozen=True, slots=True, eq=False)
class Advance:
    """A register's growth per interval, rollovers counted in, and where both ends are known."""

    growth: Integers
    known: Flags
    rolled: Flags


def rising(sheet: Sheet) -> Iterator[Grid]:
    """Yields the registers that only rise: all but those of net energy."""
    return (each for each in sheet.grids.values() if each.is_register and not each.may_fall)


def advance(grid: Grid, limits: Thresholds, period_s: int) -> Advance:
    """Returns how a register advanced from capture to capture.

    One that would have grown more than any load can make it has not passed its last digit: it
    fell, as where a meter was exchanged.
    """
    before, after = grid.values[:, :-1], grid.values[:, 1:]
    known = grid.known[:, :-1] & grid.known[:, 1:]
    passed = checks.rollovers(before, after, known, limits.rollover_from_percent)
    passed[after - before + passed > highest_growth(grid, limits, period_s)] = 0
    if grid.may_fall:
        passed[:] = 0
    growth = np.where(known, after - before + passed, 0)
    return Advance(growth, known, passed > 0)


def highest_growth(grid: Grid, limits: Thresholds, period_s: int) -> int:
    """Returns how far a register can advance in one interval, in its steps."""
    return grid.steps(limits.highest_load_w) * period_s // 3600


def leaps(grid: Grid, limits: Thresholds, period_s: int) -> Flags:
    """Says in which intervals a register grew by more than any load can make it."""
    found: Flags = grid.known[:, :-1] & grid.known[:, 1:]
    found &= np.diff(grid.values, axis=1) > highest_growth(grid, limits, period_s)
    return found
