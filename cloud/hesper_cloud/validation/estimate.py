"""Estimates of a register within a gap, exact to what the register advanced over it.

A gap lies between two known captures, so its energy is known and only its shape is estimated: in
equal parts (linear interpolation of the register), or in the proportions of reference days, the
same times of the same weekday in the weeks before. All arithmetic is of integers: the estimates
rise from the value before the gap to the value after it and never beyond; where the register passed
its last digit, across that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hesper_cloud.thresholds import Estimation
from hesper_cloud.validation.codes import LINEAR, REFERENCE_DAY

_SUNDAY = 6
_WEIGHT = 1000


class Gap(NamedTuple):
    """Missing captures between two known ones: their times and values.

    Where the register began anew at its capacity in between, ``after`` is counted on across that.
    """

    before_at: int
    before: int
    after_at: int
    after: int
    capacity: int = 0


class Estimate(NamedTuple):
    """One estimated register value, in steps of its scaler, and by which method it was made."""

    captured_at: int
    value: int
    method: str
    scaler: int = 0


def gaps(times: Sequence[int], values: Sequence[int], period_s: int) -> Iterator[Gap]:
    """Yields the gaps between known captures, ascending in time."""
    for place in range(len(times) - 1):
        if times[place + 1] - times[place] >= 2 * period_s - period_s // 2:
            yield Gap(times[place], values[place], times[place + 1], values[place + 1])


def linear(before: int, after: int, count: int) -> list[int]:
    """Returns ``count`` values between two, in equal steps, rounded down."""
    return [before + (after - before) * step // (count + 1) for step in range(1, count + 1)]


def shaped(before: int, after: int, weights: Sequence[int]) -> list[int]:
    """Returns values between two that advance in proportion to weights, one per interval."""
    total, passed = sum(weights), 0
    if total <= 0:
        return linear(before, after, len(weights) - 1)
    found = []
    for weight in weights[:-1]:
        passed += weight
        found.append(before + (after - before) * passed // total)
    return found


def reference_times(
    at: int, zone: ZoneInfo, holidays: frozenset[date], weeks: int
) -> Iterator[int]:
    """Yields the times that are like ``at``, latest first: same wall clock, same kind of day.

    A working day looks at the same weekday of the weeks before, holidays aside; a holiday looks at
    the Sundays before.
    """
    local = datetime.fromtimestamp(at, zone)
    back = 7
    if local.date() in holidays:
        back = (local.weekday() - _SUNDAY) % 7 or 7
    for week in range(weeks):
        like = local - timedelta(days=back + 7 * week)
        if like.date() not in holidays:
            yield int(like.astimezone(UTC).timestamp())


def fill(
    gap: Gap,
    period_s: int,
    growth: Mapping[int, int],
    zone: ZoneInfo,
    rules: tuple[Estimation, frozenset[date]],
) -> list[Estimate]:
    """Returns the estimates of one gap; none if it is too long or the register fell over it.

    Args:
        gap: Between which captures.
        period_s: The capture period.
        growth: Known energy of intervals by the time that ends them, to take references from; one
            in which the register fell is none.
        zone: By whose days references are chosen.
        rules: How gaps are filled, and the holidays.
    """
    estimation, holidays = rules
    length_s = gap.after_at - gap.before_at
    if gap.after < gap.before or length_s > estimation.up_to_days * 86_400:
        return []
    count = round(length_s / period_s) - 1
    times = [gap.before_at + period_s * step for step in range(1, count + 1)]
    if length_s <= estimation.interpolate_up_to_s:
        return _named(gap, times, linear(gap.before, gap.after, count), LINEAR)
    weights = []
    for at in (*times, gap.after_at):
        likes = reference_times(at, zone, holidays, estimation.reference_weeks)
        known = [growth[like] for like in likes if growth.get(like, -1) >= 0]
        if not known:
            return _named(gap, times, linear(gap.before, gap.after, count), LINEAR)
        weights.append(_WEIGHT * sum(known) // len(known))
    return _named(gap, times, shaped(gap.before, gap.after, weights), REFERENCE_DAY)


def _named(gap: Gap, times: Iterable[int], values: Iterable[int], method: str) -> list[Estimate]:
    """Returns estimates by their method, as the register shows them."""
    shown = (value % gap.capacity if gap.capacity else value for value in values)
    return [Estimate(at, value, method) for at, value in zip(times, shown, strict=True)]
