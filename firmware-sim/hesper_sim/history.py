"""The load profile before the fleet was born, as if the meters had always been there.

Rows at every multiple of the capture period, computed when they are asked for. Everyone was
connected then and every meter sound, so a row depends on its time and the fleet's seed alone.
"""

from __future__ import annotations

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

    def oldest_at(self, now: int) -> int:
        """Return the time of the oldest row that a meter has not overwritten by `now`."""
        period = self.capture_period_s
        kept = now - self.depth * period
        first = max(self.born_at - self.span_s, kept + 1)
        return -(-first // period) * period

    def rows(
        self, meter: Meter, start: int, end: int, now: int, entries: slice = slice(None)
    ) -> list[Row]:
        """Return a meter's rows with start <= time <= end, oldest first, latched ones included.

        Of those, `entries` picks some; only the rows that are picked are computed.
        """
        oldest = max(start, self.oldest_at(now))
        period = self.capture_period_s
        first = -(-oldest // period) * period
        times = range(first, min(end, self.born_at - 1) + 1, period)
        latched = meter.profile.between(oldest, end)
        begin, stop, _ = entries.indices(len(times) + len(latched))
        past = [Row(at, meter.capture(at)) for at in times[begin:stop]]
        return past + latched[max(begin - len(times), 0) : max(stop - len(times), 0)]

    def entries_in_use(self, meter: Meter, now: int) -> int:
        """Return how many rows a meter's load profile holds."""
        past = range(self.oldest_at(now), self.born_at, self.capture_period_s)
        return len(past) + len(meter.profile)
