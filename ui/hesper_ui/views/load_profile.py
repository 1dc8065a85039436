"""From a register's captures to the curve that people read: mean power per interval.

A load profile stores a meter reading at the end of every capture period. The mean power of an
interval is the difference of its two ends over its length, so an interval is drawn only where both
ends are stored and one period apart; the rest is missing: a band, never a line across it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hesper_ui.services import GapRow, Series


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time (epoch seconds) with nothing stored, and why."""

    start: int
    end: int
    count: int
    cause: str


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """What the chart and its table show; ``points`` are (interval's end, kilowatts or None)."""

    start: int
    end: int
    period_s: int
    points: list[tuple[int, float | None]]
    bands: list[Band]

    @property
    def missing(self) -> int:
        """How many intervals are missing within what is shown."""
        return sum(band.count for band in self.bands)


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
    return LoadProfile(*window, step_s, points, _bands(gaps, window, capture_s))


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
