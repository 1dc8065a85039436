"""Which stretch of a profile buffer to ask for next.

Theory of operation
-------------------
A buffer is read by time range, from the last stored capture to now, in windows of about as many
rows as one answer should hold. A window with few rows makes the next one twice as long, an empty
one even more so: a meter that slept for months, or changed its period, costs a handful of requests.

Meter clocks are set, run away and fall back to the year 2000; no reading may be lost by that:

- The last window is open: it reaches a year beyond the meter's present, so rows stamped in the
  future are read too. They never move the mark beyond the meter's present.
- When the mark lies in the meter's future, or the clock was set back by more than a moment, the
  stretch that may have been stamped twice is read again. Overlap is harmless: the store keeps one.
- The first read after the gateway starts begins an hour early, in case the clock was set back
  while nobody looked.
"""

from collections.abc import Iterator
from dataclasses import dataclass

OPEN_END_S = 366 * 86400
OVERLAP_S = 3600
SLACK_S = 60
"""A mark this far in the meter's future is no sign of a clock that was set back."""
_LONGEST_EMPTY, _LONGEST_SPARSE = 64, 16


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one visit has to read, in epoch seconds by the meter; both ends included."""

    start: int
    end: int
    present: int
    """The meter's own present; marks stay at or below it."""

    def mark(self, captured_at: list[int]) -> int | None:
        """Return how far these rows carry the mark; None when they do not."""
        return max((at for at in captured_at if at <= self.present + SLACK_S), default=None)


def stretch(mark: int | None, present: int, oldest: int, back_s: int) -> Stretch:
    """Return the stretch to read.

    Args:
        mark: `captured_at` of the newest stored row; None before the first.
        present: The meter's clock now.
        oldest: Where a whole reading of the buffer would begin.
        back_s: How far before the mark to begin: what may have been stamped twice.
    """
    end = max(present, mark or 0) + OPEN_END_S
    if is_whole(mark, present):
        return Stretch(min(oldest, present), end, present)
    return Stretch((mark or 0) + 1 - back_s, end, present)


def is_whole(mark: int | None, present: int) -> bool:
    """Whether the whole buffer has to be read: for the first time, or the mark is in the future."""
    return mark is None or mark > present + SLACK_S


class Windows:
    """Walks over a stretch; tell it after each window how many rows came.

    Args:
        wanted: From where to where.
        window_s: How long a window of ``row_count`` rows should be.
        row_count: About how many rows one answer should hold.
    """

    def __init__(self, wanted: Stretch, window_s: int, row_count: int) -> None:
        self._wanted = wanted
        self._base_s = self._span_s = max(1, window_s)
        self._row_count = row_count
        self._taken = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield windows (from, to), both included, oldest first."""
        start = self._wanted.start
        while start <= self._wanted.end:
            end = start + self._span_s - 1
            if end >= self._wanted.present:
                end = self._wanted.end
            self._taken = 0
            yield start, end
            self._adapt()
            start = end + 1

    def took(self, row_count: int) -> None:
        """Say how many rows the present window held."""
        self._taken = row_count

    def _adapt(self) -> None:
        if self._taken == 0:
            self._span_s = min(2 * self._span_s, _LONGEST_EMPTY * self._base_s)
        elif 2 * self._taken < self._row_count:
            self._span_s = max(self._base_s, min(2 * self._span_s, _LONGEST_SPARSE * self._base_s))
        elif self._taken > 2 * self._row_count:
            self._span_s = max(1, self._span_s // 2)
