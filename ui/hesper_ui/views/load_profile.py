"""From a register's captures to the curve that people read: mean power per interval.

A load profile stores a meter reading at the end of every capture period. The mean power of an
interval is the difference of its two ends over its length, so an interval is drawn only where both
ends are stored and one period apart; the rest is missing: a band, never a line across it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hesper_ui.services import GapRow, Invalid, Series
from hesper_ui.words import say

_YEARS = (1970, 9000)
"""Between them days have midnights in every zone."""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time (epoch seconds) with nothing stored, and why."""

    start: int
    end: int
    count: int
    cause: str


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """What the chart and its table show; ``points`` are (interval's end, kilowatts or None).

    Each interval begins where the one before it ends, the first at ``begins_at``.
    """

    start: int
    end: int
    period_s: int
    begins_at: int
    points: list[tuple[int, float | None]]
    bands: list[Band]

    @property
    def missing(self) -> int:
        """How many intervals are missing within what is shown."""
        return sum(band.count for band in self.bands)

    @property
    def corners(self) -> list[tuple[int, float | None]]:
        """The points of a curve that steps at each interval's begin, those of every run's too."""
        corners: list[tuple[int, float | None]] = []
        for (begins_at, before), (ends_at, kw) in pairwise([(self.begins_at, None), *self.points]):
            if before is None and kw is not None:
                corners.append((begins_at, kw))
            corners.append((ends_at, kw))
        return corners


@dataclass(frozen=True, slots=True)
class Used:
    """What a register counted between two of its captures (epoch seconds)."""

    amount: int
    scaler: int
    first: int
    last: int


def day_of(text: str) -> date | None:
    """Reads a day as an address or a date field has it, ``2026-11-17``; nothing is no day.

    Raises:
        Invalid: it is something else.
    """
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        raise Invalid(say("A day is written like 2026-11-17."))
    return day


def window_of(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Returns when a day begins and ends by the calendar of a zone; few have 23 or 25 hours."""
    bounds = (datetime.combine(each, time(), zone) for each in (day, day + timedelta(days=1)))
    start, end = (int(each.timestamp()) for each in bounds)
    return start, end


def used(series: Series, window: tuple[int, int]) -> Used | None:
    """Returns how far a register moved within a window, between the outermost captures stored.

    None where fewer than two are stored, or the register went back: another meter, or a reset.
    """
    start, end = window
    stored = [
        (at, value)
        for at, value in zip(series.times, series.values, strict=True)
        if value is not None and start <= at <= end
    ]
    if len(stored) < 2 or any(after < before for (_, before), (_, after) in pairwise(stored)):
        return None
    (first, before), (last, after) = stored[0], stored[-1]
    return Used(after - before, series.scaler, first, last)


def build(
    series: Series, gaps: Sequence[GapRow], window: tuple[int, int], step_s: int, capture_s: int
) -> LoadProfile:
    """Derives the curve of one register (watt-hours, or whatever its scaler makes of them).

    ``step_s`` is how far apart the series' points should be, ``capture_s`` the meter's own period;
    they differ where the series was thinned out.
    """
    per_unit = 10.0**series.scaler * 3600 / 1000
    points: list[tuple[int, float | None]] = []
    pairs = list(zip(series.times, series.values, strict=True))
    for (before_at, before), (at, value) in pairwise(pairs):
        apart = at - before_at
        if apart <= 0:
            continue
        if apart > step_s * 1.5 or before is None or value is None or value < before:
            points.append((at, None))
        else:
            points.append((at, round((value - before) * per_unit / apart, 3)))
    begins_at = series.times[0] if series.times else window[0]
    return LoadProfile(*window, step_s, begins_at, points, _bands(gaps, window, capture_s))


def _bands(gaps: Sequence[GapRow], window: tuple[int, int], period_s: int) -> list[Band]:
    """Turns open gap rows into bands; a capture covers the period that ends with it."""
    start, end = window
    bands = []
    for gap in gaps:
        first, last = int(gap.from_at.timestamp()), int(gap.to_at.timestamp())
        if gap.state != "open" or last < start or first > end:
            continue
        left, right = max(start, first - period_s), min(end, last)
        bands.append(Band(left, right, gap.expected_count, gap.cause))
    return sorted(bands, key=lambda band: band.start)
