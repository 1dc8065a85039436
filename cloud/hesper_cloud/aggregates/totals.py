"""What a quantity comes to per bucket of a day, and a day's highest demand; pure numpy."""

from dataclasses import dataclass

import numpy as np

from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation.misread import Misread
from hesper_cloud.validation.registers import advance, highest_growth, leaps
from hesper_cloud.validation.sheet import Grid

HALF_HOUR_S = 1800
_STEPS_S = (HALF_HOUR_S, 3600, 86_400)
_HOUR_S = 3600


@dataclass(frozen=True, slots=True, eq=False)
class Amounts:
    """What each interval adds: energy for registers, the value at its end for what is measured.

    Attributes:
        values: Meters × intervals.
        known: Where there is one that counts; a register that fell has none, but one of net energy,
            nor has one that leapt back, or begins or ends with a value that was read wrong.
        estimated: Where it rests on an estimate.
    """

    values: Integers
    known: Flags
    estimated: Flags


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Sums and counts of meters × buckets; the mean of a bucket is sum / count."""

    step_s: int
    sums: Integers
    counts: Integers
    estimated: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """Each meter's highest mean power over a window, when the window ended, and whether any was."""

    power: Integers
    ended_at: Integers
    known: Flags


def amounts(
    grid: Grid,
    estimated: Flags | None,
    limits: Thresholds,
    period_s: int,
    wrong: Misread | None,
) -> Amounts:
    """Returns what each interval of a grid adds, where ``wrong`` is what of it was read wrong."""
    marks = np.zeros(grid.known.shape, bool) if estimated is None else estimated
    if not grid.is_register:
        known = grid.known[:, 1:]
        return Amounts(np.where(known, grid.values[:, 1:], 0), known, marks[:, 1:] & known)
    moved = advance(grid, limits, period_s)
    highest = highest_growth(grid, limits, period_s)
    known = moved.known & (moved.growth >= (-highest if grid.may_fall else 0))
    if grid.may_fall:
        known &= ~leaps(grid, limits, period_s)
    elif wrong is not None:
        known &= ~wrong.intervals
    either = (marks[:, 1:] | marks[:, :-1]) & known
    return Amounts(np.where(known, moved.growth, 0), known, either)


def bucket_step_s(period_s: int) -> int:
    """Returns the shortest step of aggregates that holds whole capture periods."""
    return next((step for step in _STEPS_S if step % period_s == 0), _STEPS_S[-1])


def buckets(found: Amounts, period_s: int) -> Buckets:
    """Adds intervals up to buckets, counted from the day's beginning."""
    step_s = bucket_step_s(period_s)
    begins = np.arange(0, found.values.shape[1], step_s // period_s)
    return Buckets(
        step_s,
        np.add.reduceat(found.values, begins, axis=1),
        np.add.reduceat(found.known.astype(np.int16), begins, axis=1),
        np.add.reduceat(found.estimated.astype(np.int16), begins, axis=1),
    )


def demand(found: Amounts, period_s: int, window_s: int, start: int) -> Demand | None:
    """Returns the highest mean power over whole windows; None if the period does not fit them.

    Only windows without a missing interval count. Power has the energy's scaler, rounded down.
    """
    size = window_s // period_s
    count = found.values.shape[1] // size if size else 0
    if window_s % period_s or not count:
        return None
    meters = found.values.shape[0]
    shape = (meters, count, size)
    energy = found.values[:, : count * size].reshape(shape).sum(axis=2)
    whole = found.known[:, : count * size].reshape(shape).all(axis=2)
    ranked = np.where(whole, energy, -1)
    place = ranked.argmax(axis=1)
    highest = ranked[np.arange(meters), place]
    ended_at = start + (place + 1) * window_s
    return Demand(highest * _HOUR_S // window_s, ended_at, highest >= 0)
