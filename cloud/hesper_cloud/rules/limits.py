"""Limits of readings: whole columns told apart by integers, as the meter registered them."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Protocol

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.latest import value_before
from hesper_cloud.rules.definition import Rate, Reading, Threshold
from hesper_cloud.rules.levels import Columns, Seen
from hesper_cloud.stores.port import Flags, Integers, Previous

_LONGEST = 2**62
_HOUR_S = 3600
UNBELIEVABLE = int(Quality.TIME_FAR_OFF | Quality.OUT_OF_RANGE)


class Rows(Columns, Protocol):
    """Columns with the profile that they are of and what is doubtful about each row."""

    @property
    def profile(self) -> str: ...
    @property
    def quality(self) -> Integers: ...


def places_of(condition: Reading, rows: Rows) -> list[int]:
    """Returns the columns that a condition is about: one for each scaler, of models of meters."""
    if condition.profile not in (None, rows.profile):
        return []
    return [p for p, q in enumerate(rows.quantities) if q.logical_name == condition.logical_name]


def seen(condition: Reading, rows: Rows, place: int, counts: Flags, previous: Previous) -> Seen:
    """Returns which rows pass the limit and which are well inside it.

    Args:
        condition: A threshold or a rate.
        rows: Rows meter by meter, ascending in time.
        place: The column.
        counts: The rows that count at all.
        previous: What `LatestValues.previous` says of the rows' meters; only a rate asks.
    """
    if rows.missing is not None:
        counts = counts & ~rows.missing[place]
    if isinstance(condition, Threshold):
        return _level(condition, rows, place, counts)
    return _rate(condition, rows, place, counts, previous)


def _level(condition: Threshold, rows: Rows, place: int, counts: Flags) -> Seen:
    values, scaler = rows.values[place], rows.quantities[place].scaler
    scale = 10.0**scaler
    if condition.direction == "above":
        limit = _steps(condition.limit, scaler, ROUND_FLOOR)
        inner = _steps(condition.limit - condition.hysteresis, scaler, ROUND_FLOOR)
        return Seen(counts, values > limit, values <= inner, values, scale)
    limit = _steps(condition.limit, scaler, ROUND_CEILING)
    inner = _steps(condition.limit + condition.hysteresis, scaler, ROUND_CEILING)
    return Seen(counts, values < limit, values >= inner, values, scale)


def _steps(limit: Decimal, scaler: int, rounding: str) -> int:
    """Returns a limit in whole steps of a quantity."""
    whole = limit.scaleb(-scaler).to_integral_value(rounding)
    return max(-_LONGEST, min(_LONGEST, int(whole)))


def _rate(condition: Rate, rows: Rows, place: int, counts: Flags, previous: Previous) -> Seen:
    before, known = value_before(rows, place, previous)
    passed_s = rows.captured_at - _time_before(rows, previous)
    counts = counts & known & (passed_s > 0)
    grown = (rows.values[place] - before).astype(np.float64)
    per_hour = np.divide(grown * _HOUR_S, passed_s, out=np.zeros(len(grown)), where=counts)
    per_hour *= 10.0 ** rows.quantities[place].scaler
    if condition.direction == "falls":
        per_hour = -per_hour
    elif condition.direction == "either":
        per_hour = np.abs(per_hour)
    limit = float(condition.limit)
    inner = limit - float(condition.hysteresis)
    return Seen(counts, per_hour > limit, per_hour <= inner, per_hour)


def _time_before(rows: Rows, previous: Previous) -> Integers:
    """Returns when the value before each row was captured, as `value_before` takes it."""
    at = np.roll(rows.captured_at, 1)
    if previous is not None and rows.row_count:
        starts = np.ones(rows.row_count, dtype=bool)
        starts[1:] = rows.meter_index[1:] != rows.meter_index[:-1]
        at[starts] = previous[0][rows.meter_index[starts]]
    return at
