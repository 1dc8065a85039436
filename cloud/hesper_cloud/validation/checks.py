"""The checks, each a pure function over numpy columns; true is a failure.

Grids are meters × captures. A check over intervals gets grids with one column fewer: interval n
lies between captures n and n + 1. A value at its threshold passes.
"""

import numpy as np

from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.validation import runs

_BINARY_CAPACITY = 1 << 32
CAPACITIES = sorted((*(10**digits for digits in range(5, 19)), _BINARY_CAPACITY))
"""At what registers begin anew, lowest first: after their last decimal digit, or 32 bits."""


def outside_range(values: Integers, known: Flags, lowest: int, highest: int) -> Flags:
    """Range: values below the lowest or above the highest that can be."""
    failed: Flags = known & ((values < lowest) | (values > highest))
    return failed


def leaps(values: Integers, known: Flags, highest: int) -> Flags:
    """Range, over a gap: intervals before which a register grew by more than it can.

    Args:
        values: The register.
        known: Where it is; what is missing in between may have been any value.
        highest: How far it can advance in one interval.
    """
    columns = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(known, columns, -1), axis=1)[:, :-1]
    grew = values[:, 1:] - np.take_along_axis(values, np.maximum(last, 0), axis=1)
    length = columns[1:] - last
    failed: Flags = known[:, 1:] & (last >= 0) & (length > 1) & (grew > length * highest)
    return failed


def spikes(energies: Integers, known: Flags, percent: int, least: int) -> Flags:
    """Spike: intervals that exceed their row's third highest by more than a share of it.

    Args:
        energies: Energy per interval.
        known: Where there is one; a row with fewer than three is not judged.
        percent: How much of the third highest a peak may lie over it.
        least: Intervals up to this energy are no spikes.
    """
    if energies.shape[1] < 3:
        return np.zeros(energies.shape, dtype=bool)
    ranked = np.where(known, energies, np.iinfo(np.int64).min)
    third = np.partition(ranked, -3, axis=1)[:, -3][:, np.newaxis]
    enough = known.sum(axis=1)[:, np.newaxis] >= 3
    base = np.maximum(np.where(enough, third, 0), 0)
    excess = np.where(known, energies, 0) - base
    failed: Flags = known & enough & (excess * 100 > base * percent) & (energies > least)
    return failed


def sums_off(
    energies: Integers, known: Flags, advance: Integers, percent: int, least: int
) -> Flags:
    """Sum: rows whose intervals do not add up to the register's advance; one flag per row.

    Args:
        energies: Energy per interval.
        known: Where there is one; rows that lack any are not judged.
        advance: How far the register advanced over the same time, in the same steps.
        percent: Tolerated share of the advance.
        least: Tolerated difference in any case.
    """
    difference = np.abs(np.where(known, energies, 0).sum(axis=1) - advance)
    tolerated = np.maximum(np.abs(advance) * percent // 100, least)
    failed: Flags = known.all(axis=1) & (difference > tolerated)
    return failed


def zero_runs(energies: Integers, known: Flags, intervals: int) -> Flags:
    """Zero: intervals without energy, in runs of at least so many."""
    return runs.of_at_least(known & (energies == 0), intervals)


def missing(known: Flags) -> Flags:
    """Missing: where no value is."""
    absent: Flags = ~known
    return absent


def off_time(captured_at: Integers, due_at: Integers, present: Flags, tolerance_s: int) -> Flags:
    """Time tolerance: captures that lie further from their due time than tolerated."""
    failed: Flags = present & (np.abs(captured_at - due_at) > tolerance_s)
    return failed


def rollovers(before: Integers, after: Integers, known: Flags, from_percent: int) -> Integers:
    """Rollover: for each interval the capacity that the register passed, or 0.

    The capacity is that of the register's decimal digits (99 998 → 3) or 32 bits. It was passed
    where the register fell from the last part of its range, which begins at ``from_percent``, to
    a first part of the same size or a tenth of it, whichever is larger.
    """
    passed = np.zeros(before.shape, dtype=np.int64)
    for row, column in zip(*np.nonzero(known & (after < before)), strict=True):  # rare
        passed[row, column] = capacity_passed(
            int(before[row, column]), int(after[row, column]), from_percent
        )
    return passed


def capacity_passed(before: int, after: int, from_percent: int) -> int:
    """Returns the capacity that one register passed, or 0; see `rollovers`."""
    if before < 0 or after < 0:
        return 0
    first_part = max(100 - from_percent, 10)
    for capacity in (10 ** len(str(before)), _BINARY_CAPACITY):
        near_end = before < capacity and before * 100 >= capacity * from_percent
        if capacity in CAPACITIES and near_end and after * 100 <= capacity * first_part:
            return capacity
    return 0


def reversed_energy(growth: Integers, known: Flags, allowed: int) -> Flags:
    """Reverse energy: intervals in which a register fell further than allowed.

    Of an export register give the negative growth: what was exported counts as falling.
    """
    failed: Flags = known & (growth < -allowed)
    return failed


def imbalanced(phases: Integers, known: Flags, percent: int, least: int) -> Flags:
    """Phase imbalance: a phase differs from the mean of the three by more than a share of it.

    That is how NEMA MG 1, 14.36 puts unbalance from magnitudes alone; EN 50160 defines it by
    symmetrical components, which meters do not register.

    Args:
        phases: 3 × meters × captures.
        known: Where all three are known; meters × captures.
        percent: The share of the mean that still passes.
        least: Means below are not judged.
    """
    total = phases.sum(axis=0)
    worst = np.abs(phases * 3 - total).max(axis=0)
    failed: Flags = known & (total >= 3 * least) & (worst * 100 > np.abs(total) * percent)
    return failed


def poor_power_factor(factors: Integers, loaded: Flags, least: int, one: int) -> Flags:
    """Power factor: over 1 in magnitude, or under the least; both in the factor's own steps.

    Args:
        factors: The power factors.
        loaded: Where there is one, and load enough to judge it.
        least: What still passes.
        one: A factor of 1.
    """
    size = np.abs(factors)
    failed: Flags = loaded & ((size > one) | (size < least))
    return failed


def voltage_out_of_band(
    volts: Integers, known: Flags, band: tuple[int, int, int], share_percent: int
) -> Flags:
    """Voltage after EN 50160:2010, 4.2.2.2, each row's captures taken as the period of judgement.

    Any value under the lowest or over the highest fails. Values between lowest and lower fail only
    where fewer than the share of the row's values lie in the band from lower to highest.

    Args:
        volts: Mean or momentary values.
        known: Where there is one.
        band: Lowest ever, lower end, upper end, in the values' own steps.
        share_percent: The share that has to lie between lower and upper end.
    """
    lowest, lower, upper = band
    never = known & ((volts < lowest) | (volts > upper))
    low = known & (volts < lower)
    outside = (low | never).sum(axis=1)
    judged = known.sum(axis=1)
    too_many = outside * 100 > judged * (100 - share_percent)
    failed: Flags = never | (low & too_many[:, np.newaxis])
    return failed


def stale(values: Integers, known: Flags, captures: int) -> Flags:
    """Stale: values other than 0 that stay the same, in runs of at least so many captures."""
    same = np.zeros(values.shape, dtype=bool)
    same[:, 1:] = known[:, 1:] & known[:, :-1] & (values[:, 1:] == values[:, :-1])
    same[:, 1:] &= values[:, 1:] != 0
    repeats = runs.of_at_least(same, captures - 1)
    first = np.zeros(values.shape, dtype=bool)
    first[:, :-1] = repeats[:, 1:] & ~repeats[:, :-1]
    failed: Flags = repeats | first
    return failed


def duplicates(copies: Integers) -> Flags:
    """Duplicate: places with more than one reading."""
    failed: Flags = copies > 1
    return failed


def conflicting(quality: Integers, flag: int) -> Flags:
    """Conflicting: places whose reading came with other values too, as the store has flagged it."""
    failed: Flags = quality & flag > 0
    return failed
