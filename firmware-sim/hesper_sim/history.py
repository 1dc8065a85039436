"""The load profile before the fleet was born, as if the meters had always been there.

Rows at every multiple of the capture period, computed when they are asked for. Everyone was
connected then and every meter sound, so a row depends on its time and the fleet's seed alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

from hesper_sim.buffers import Row
from hesper_sim.meter import Meter

LEAST_DEPTH: Final = 2000


@dataclass(frozen=True, slots=True)
class History:
    """The past that all meters of a fleet share, up to its birth; times in epoch seconds."""

    born_at: int
    capture_period_s: int
    span_s: int

    @property
    def depth(self) -> int:
        """How many rows a load profile keeps."""
        return max(self.span_s // self.capture_period_s, LEAST_DEPTH)

    def _past(self, meter: Meter) -> range:
        """Return the times of the rows from before the birth that a meter has not overwritten.

        A buffer is full by the count of its rows, not by their age: what was captured before weeks
        without power is still there afterwards (Blue Book, class 7, profile_entries).
        """
        period = self.capture_period_s
        first = max(self.born_at - self.span_s, self.born_at - self.depth * period + 1)
        times = range(-(-first // period) * period, self.born_at, period)
        overwritten = len(times) + len(meter.profile) - self.depth
        return times[max(overwritten, 0) :]

    def rows(self, meter: Meter, start: int, end: int, entries: slice = slice(None)) -> list[Row]:
        """Return a meter's rows with start <= time <= end, oldest first, latched ones included.

        Of those, `entries` picks some; only the rows that are picked are computed.
        """
        times = self._past(meter)
        times = times[bisect_left(times, start) : bisect_right(times, end)]
        latched = meter.profile.between(start, end)
        begin, stop, _ = entries.indices(len(times) + len(latched))
        past = [Row(at, meter.capture(at)) for at in times[begin:stop]]
        return past + latched[max(begin - len(times), 0) : max(stop - len(times), 0)]

    def entries_in_use(self, meter: Meter) -> int:
        """Return how many rows a meter's load profile holds."""
        return len(self._past(meter)) + len(meter.profile)
