"""Runs the checks over a sheet, each on the quantities that it fits."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.stores.port import Flags
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation import checks
from hesper_cloud.validation.misread import Misread
from hesper_cloud.validation.registers import advance, highest_growth
from hesper_cloud.validation.sheet import Grid, Sheet, in_steps

IMPORT, EXPORT = "1.0.1.8.0.255", "1.0.2.8.0.255"
POWER, POWER_FACTOR = "1.0.1.7.0.255", "1.0.13.7.0.255"
VOLTAGES = ("1.0.32.7.0.255", "1.0.52.7.0.255", "1.0.72.7.0.255")
CURRENTS = ("1.0.31.7.0.255", "1.0.51.7.0.255", "1.0.71.7.0.255")
EVERY_QUANTITY = ""
NOT_CONNECTED_V = 10


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """Where one check failed; ``logical_name`` is empty where it concerns whole readings."""

    check: str
    logical_name: str
    failed: Flags


def judge(sheet: Sheet, limits: Thresholds, wrong: Mapping[str, Misread]) -> list[Verdict]:
    """Returns the verdicts of every check that failed anywhere.

    Args:
        sheet: What is judged.
        limits: Where checks begin to fail.
        wrong: By logical name what of registers was read wrong.
    """
    found = _of_readings(sheet, limits)
    for name, grid in sheet.grids.items():
        if grid.is_register and not grid.may_fall:
            found += _of_register(sheet, grid, limits, wrong.get(name))
        elif name.split(".")[3] == "7":
            found += _of_measured(name, grid, limits)
        found.append(Verdict("duplicate", name, checks.duplicates(grid.copies)))
    found += _of_phases(sheet, limits) + _of_load(sheet, limits) + _of_sums(sheet, limits)
    return [verdict for verdict in found if verdict.failed.any()]


def _of_readings(sheet: Sheet, limits: Thresholds) -> list[Verdict]:
    off = checks.off_time(sheet.captured_at, sheet.times, sheet.present, limits.time_tolerance_s)
    return [
        Verdict("missing", EVERY_QUANTITY, checks.missing(sheet.present)),
        Verdict("time", EVERY_QUANTITY, off),
        Verdict(
            "conflicting",
            EVERY_QUANTITY,
            checks.conflicting(sheet.quality, int(Quality.CONFLICTING)),
        ),
    ]


def _of_register(
    sheet: Sheet, grid: Grid, limits: Thresholds, wrong: Misread | None
) -> list[Verdict]:
    name = grid.quantity.logical_name
    moved = advance(grid, limits, sheet.period_s)
    highest = highest_growth(grid, limits, sheet.period_s)
    least = grid.steps(limits.spike_least_wh)
    fell = checks.reversed_energy(moved.growth, moved.known, 0)
    grew = moved.known & ~fell
    found = {
        "range": checks.outside_range(moved.growth, grew, 0, highest)
        | checks.leaps(grid.values, grid.known, highest),
        "spike": checks.spikes(moved.growth, grew, limits.spike_percent, least),
        "rollover": moved.rolled,
        "reverse": fell,
    }
    if name == IMPORT:
        intervals = -(-limits.zero_h * 3600 // sheet.period_s)
        found["zero"] = checks.zero_runs(moved.growth, moved.known, intervals)
    if name == EXPORT and not limits.feeds_in:
        allowed = grid.steps(limits.reverse_wh)
        found["reverse"] |= checks.reversed_energy(-moved.growth, grew, allowed)
    at_ends = {check: at_interval_ends(failed) for check, failed in found.items()}
    if wrong is not None:
        at_ends["range"] |= wrong.values
    return [Verdict(check, name, failed) for check, failed in at_ends.items()]


def at_interval_ends(intervals: Flags) -> Flags:
    """Returns flags of intervals as flags of captures: each at the capture that ends it."""
    return np.pad(intervals, ((0, 0), (1, 0)))


def _of_measured(name: str, grid: Grid, limits: Thresholds) -> list[Verdict]:
    found = [Verdict("stale", name, checks.stale(grid.values, grid.known, limits.stale_captures))]
    if name in VOLTAGES:
        found += _of_voltage(name, grid, limits)
    elif name in CURRENTS:
        most = grid.steps(limits.highest_current_a)
        beyond = checks.outside_range(grid.values, grid.known, -most, most)
        found.append(Verdict("range", name, beyond))
    return found


def _of_voltage(name: str, grid: Grid, limits: Thresholds) -> list[Verdict]:
    beyond = checks.outside_range(grid.values, grid.known, 0, grid.steps(limits.highest_voltage_v))
    known = grid.known & ~beyond
    if name != VOLTAGES[0]:  # a second or third phase near zero is one that the meter has not
        known &= grid.values >= grid.steps(NOT_CONNECTED_V)
    band = voltage_band(grid.steps(limits.nominal_voltage_v), limits)
    out = checks.voltage_out_of_band(grid.values, known, band, limits.voltage_share_percent)
    return [Verdict("range", name, beyond), Verdict("voltage", name, out)]


def voltage_band(nominal: int, limits: Thresholds) -> tuple[int, int, int]:
    """Returns the lowest voltage ever, the lower and the upper end, in the nominal one's steps."""
    return (
        -(-nominal * (100 - limits.voltage_lowest_percent) // 100),
        -(-nominal * (100 - limits.voltage_tolerance_percent) // 100),
        nominal * (100 + limits.voltage_tolerance_percent) // 100,
    )


def _of_phases(sheet: Sheet, limits: Thresholds) -> list[Verdict]:
    found = []
    for names, percent, least in (
        (VOLTAGES, limits.imbalance_voltage_percent, NOT_CONNECTED_V),
        (CURRENTS, limits.imbalance_current_percent, limits.imbalance_least_a),
    ):
        grids = [sheet.grids[name] for name in names if name in sheet.grids]
        if len(grids) < len(names) or len({grid.quantity.scaler for grid in grids}) > 1:
            continue
        known = np.logical_and.reduce([grid.known for grid in grids])
        phases = np.stack([grid.values for grid in grids])
        if names is VOLTAGES:
            known &= (phases >= grids[0].steps(NOT_CONNECTED_V)).all(axis=0)
        failed = checks.imbalanced(phases, known, percent, grids[0].steps(least))
        found += [Verdict("imbalance", name, failed) for name in names]
    return found


def _of_load(sheet: Sheet, limits: Thresholds) -> list[Verdict]:
    factor, power = sheet.grids.get(POWER_FACTOR), sheet.grids.get(POWER)
    if factor is None or power is None:
        return []
    loaded = factor.known & power.known & (power.values >= power.steps(limits.power_factor_from_w))
    one = factor.steps(1)
    least = -(-one * limits.power_factor_least_percent // 100)
    failed = checks.poor_power_factor(factor.values, loaded, least, one)
    return [Verdict("power factor", POWER_FACTOR, failed)]


def _of_sums(sheet: Sheet, limits: Thresholds) -> list[Verdict]:
    """Compares interval energies (D = 29) with the advance of the register beside them (D = 8)."""
    found = []
    for name, grid in sheet.grids.items():
        register = sheet.grids.get(name.replace(".29.", ".8."))
        if not grid.is_interval or register is None:
            continue
        difference = sum_difference(grid, register, limits)
        found.append(Verdict("sum", name, np.repeat(difference[:, None], len(sheet.times), axis=1)))
    return found


def sum_difference(grid: Grid, register: Grid, limits: Thresholds) -> Flags:
    """Says of each meter whether its intervals fail to add up to its register's advance.

    A register of coarser steps than its intervals may be off by one of them.
    """
    finest = min(grid.quantity.scaler, register.quantity.scaler)
    factor = 10 ** (register.quantity.scaler - finest)
    energies = grid.values[:, 1:] * 10 ** (grid.quantity.scaler - finest)
    moved = (register.values[:, -1] - register.values[:, 0]) * factor
    both = register.known[:, [0]] & register.known[:, [-1]] & grid.known[:, 1:]
    least = max(in_steps(limits.sum_tolerance_wh, finest), factor)
    return checks.sums_off(energies, both, moved, limits.sum_tolerance_percent, least)
