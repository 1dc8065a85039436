"""Supply voltage assessed by the week, as EN 50160:2010, 4.2.2.2 has it.

In each period of one week 95 % of the 10-minute mean values lie within the nominal voltage ± 10 %,
and all of them within + 10 % and - 15 %. Captures that come more often are brought to 10-minute
means; of those that come less often each is taken as the mean of its interval, and the result says
so by its `interval_s`. Missing values are no breach: the verdict is open where they could decide.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hesper_cloud.stores.port import Integers

INTERVAL_S = 600
Verdict = Literal["met", "missed", "open"]


@dataclass(frozen=True, slots=True)
class Band:
    """Limits in the values' own steps, and the share of values between lower and upper end."""

    lowest: int
    lower: int
    upper: int
    share_percent: int


@dataclass(frozen=True, slots=True)
class Assessment:
    """One week of one phase.

    Attributes:
        interval_s: What a value is the mean of: 600, or the capture period where that is longer.
        due: How many values the week has.
        known: How many of them are there.
        within: How many lie between lower and upper end.
        beyond: How many lie under the lowest or over the upper end.
        verdict: Whether the standard's limits were met; open where too many values are missing.
    """

    interval_s: int
    due: int
    known: int
    within: int
    beyond: int
    verdict: Verdict


def assess(
    times: Integers, values: Integers, week: tuple[int, int], period_s: int, band: Band
) -> Assessment:
    """Assesses the captures of a week; a capture belongs to the interval that it ends.

    Args:
        times: Capture times, epoch seconds, in any order.
        values: Voltages at those times.
        week: Its first instant and its end, epoch seconds.
        period_s: From capture to capture.
        band: The limits.
    """
    interval_s = max(INTERVAL_S, period_s)
    start, end = week
    inside = (times > start) & (times <= end)
    place = (times[inside] - start - 1) // interval_s
    due = -(-(end - start) // interval_s)
    count = np.bincount(place, minlength=due)
    total = np.zeros(due, np.int64)
    np.add.at(total, place, values[inside])
    known = count > 0  # a mean is compared as its sum with so many times the limit
    beyond = known & ((total < band.lowest * count) | (total > band.upper * count))
    within = known & (total >= band.lower * count) & (total <= band.upper * count)
    outside = int((known & ~within).sum())
    verdict: Verdict = "met" if int(within.sum()) * 100 >= due * band.share_percent else "open"
    if beyond.any() or outside * 100 > due * (100 - band.share_percent):
        verdict = "missed"
    counts = (int(known.sum()), int(within.sum()), int(beyond.sum()))
    return Assessment(interval_s, due, *counts, verdict)
