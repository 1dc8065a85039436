"""What a month's bill rests on: exact registers at both ends, their reconciliation, demand.

A billing read is the register's value captured at the very end of the month in the meter's zone,
from the load profile or the meter's own billing profile. Where none is stored it is missing, and
is never interpolated; who asks for it gets the estimate, marked as one, unless the other profile
has the value.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from hesper_cloud import quantities
from hesper_cloud.aggregates import buckets, calendar
from hesper_cloud.aggregates.curves import Shelf, validated
from hesper_cloud.validation.checks import CAPACITIES
from hesper_cloud.validation.codes import Grade
from hesper_cloud.validation.substitutes import Curve

BILLING_PROFILE = "1.0.98.1.0.255"  # data of billing period 1 (IEC 62056-6-1)
_DEMAND = """
    SELECT demand_{m}, demand_{m}_at, scaler FROM days
    WHERE meter = $meter AND logical_name = $logical_name AND day >= $first AND day < $after
      AND demand_{m} IS NOT NULL
    ORDER BY demand_{m}::HUGEINT * power(10, scaler + 20) DESC, demand_{m}_at LIMIT 1"""
_ROLLOVERS = """
    SELECT coalesce(sum(captures), 0) FROM verdicts
    WHERE meter = $meter AND logical_name = $logical_name AND check_name = 'rollover'
      AND day >= $first AND day < $after"""


@dataclass(frozen=True, slots=True)
class RegisterRead:
    """A register's value at one instant (epoch seconds); None where there is no exact one.

    It is ``doubted`` where a check failed, or its flags say so, and nobody has edited it.
    """

    at: int
    value: int | None
    scaler: int
    profile: str
    estimated: bool = False
    edited: bool = False
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class DemandMaximum:
    """The highest mean power over a window: steps of the scaler, in the energy's unit per hour."""

    window_s: int
    power: int
    scaler: int
    ended_at: int


@dataclass(frozen=True, slots=True)
class Bill:
    """One register of one meter in one month.

    Attributes:
        advance: End minus start, across the register's last digit where it passed that; None
            unless both ends are there, and where a register that only rises fell between them.
        intervals: The sum of the month's intervals, estimates included.
        estimated_count: On how many estimates' intervals it rests.
        difference: Advance minus intervals: 0 where the register reconciles with its intervals.
    """

    meter: str
    logical_name: str
    month: date
    unit: int
    start: RegisterRead
    end: RegisterRead
    advance: int | None
    intervals: int
    intervals_scaler: int
    estimated_count: int
    difference: int | None
    demand: tuple[DemandMaximum, ...]


def bill(
    shelf: Shelf,
    curve: tuple[str, str],
    month: date,
    zone: ZoneInfo,
    *,
    with_estimates: bool = False,
) -> Bill:
    """Returns the billing reads of a month that begins on its first day in the meter's zone."""
    meter, logical_name = curve
    start_at = calendar.midnight(month.replace(day=1), zone)
    end_at = calendar.midnight(calendar.month_after(month), zone)
    start, unit = _read(shelf, curve, start_at, with_estimates=with_estimates)
    end, end_unit = _read(shelf, curve, end_at, with_estimates=with_estimates)
    months = buckets.read(shelf.book, curve, start_at, end_at, "month", zone)
    total = months[0] if months else None
    intervals, scaler = (total.sum, total.scaler) if total else (0, 0)
    advance, difference = _difference(end, start), None
    if advance is not None and total is not None:
        finest = min(start.scaler, end.scaler)
        common = min(finest, scaler)
        steps, moved = _power(finest - common), intervals * _power(scaler - common)
        rollovers = _rollovers(shelf, curve, month)
        advance += _passed(rollovers, moved // steps - advance)
        difference = advance * steps - moved
    if advance is not None and advance < 0 and not quantities.is_net(logical_name):
        advance = difference = None
    return Bill(
        meter,
        logical_name,
        month.replace(day=1),
        unit or end_unit,
        start,
        end,
        advance,
        intervals,
        scaler,
        total.estimated if total else 0,
        difference,
        _demand(shelf, curve, month),
    )


def _difference(end: RegisterRead, start: RegisterRead) -> int | None:
    """Returns how far a register went, in the finer scaler of both ends."""
    if end.value is None or start.value is None:
        return None
    finest = min(end.scaler, start.scaler)
    return end.value * _power(end.scaler - finest) - start.value * _power(start.scaler - finest)


def _rollovers(shelf: Shelf, curve: tuple[str, str], month: date) -> int:
    """Returns how often a register began anew in a month, as the check has found it."""
    return int(shelf.book.rows(_ROLLOVERS, **_days_of(curve, month))[0][0])


def _days_of(curve: tuple[str, str], month: date) -> dict[str, Any]:
    """Returns by which names a query asks for a curve's days of a month."""
    first, after = month.replace(day=1), calendar.month_after(month)
    return {"meter": curve[0], "logical_name": curve[1], "first": first, "after": after}


def _passed(rollovers: int, lacking: int) -> int:
    """Returns how far a register counted before it began anew: what is nearest to its intervals."""
    counted = (rollovers * capacity for capacity in CAPACITIES)
    return min(counted, key=lambda each: abs(each - lacking)) if rollovers else 0


def _power(steps: int) -> int:
    return int(10**steps)


def _read(
    shelf: Shelf, curve: tuple[str, str], at: int, *, with_estimates: bool
) -> tuple[RegisterRead, int]:
    """Returns a register's value with its unit: an estimate only where neither profile has more."""
    guessed: tuple[RegisterRead, int] | None = None
    for profile in (quantities.LOAD_PROFILE, BILLING_PROFILE):
        found = validated(shelf, Curve(curve[0], profile, curve[1]), at, at + 1)
        for value in found.values[:1]:
            flags = {"estimated": value.source == "estimate", "edited": value.source == "edit"}
            flags["doubted"] = value.grade == Grade.QUESTIONABLE
            read = RegisterRead(at, value.value, found.scaler, profile, **flags)
            if not read.estimated:
                return read, found.unit
            guessed = guessed or (read, found.unit)
    if with_estimates and guessed is not None:
        return guessed
    return RegisterRead(at, None, 0, quantities.LOAD_PROFILE), 0


def _demand(shelf: Shelf, curve: tuple[str, str], month: date) -> tuple[DemandMaximum, ...]:
    found = []
    for minutes in (15, 30):
        rows = shelf.book.rows(_DEMAND.format(m=minutes), **_days_of(curve, month))
        found += [DemandMaximum(minutes * 60, row[0], row[2], row[1]) for row in rows]
    return tuple(found)
