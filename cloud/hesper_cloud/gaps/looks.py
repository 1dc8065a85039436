"""What is known when one profile of the fleet is looked at, and which of its meters may rest.

A meter of which nothing is missing, and no row is open, cannot miss anything before its next
capture is due, as long as the same is expected of it and the same is stored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Self

from hesper_cloud.gaps import fleet
from hesper_cloud.gaps.causes import UNKNOWN, Causes
from hesper_cloud.gaps.expectations import Expectations
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.gaps.rows import SETTLED, GapRow

FAR_BACK_S = 35 * 86_400
RECENT_S = 2 * 86_400
CAPTURES_AT_ONCE = 2_000_000
"""What 500 meters capture in the quarter hours of a look far back; eight octets each."""


class Span(NamedTuple):
    """Which time is looked at, epoch seconds: from ``start``, captures from ``read_from`` on.

    Of the recent days, as long as `kept_s`, captures are to be had without the store.
    """

    now: int
    start: int
    read_from: int
    kept_s: int
    is_far_back: bool

    @classmethod
    def of(cls, now: int, longest_s: int, *, far_back: bool) -> Self:
        recent_s = max(RECENT_S, 4 * longest_s)
        start = now - (max(FAR_BACK_S, recent_s) if far_back else recent_s)
        return cls(now, start, start - longest_s, recent_s + longest_s, far_back)


class Resting(NamedTuple):
    """Until when nothing can be missing of a meter of which the same is expected."""

    until: int
    expected: int


@dataclass(frozen=True, slots=True)
class Look:
    """What is known when one profile of the fleet is looked at."""

    profile: str
    now: datetime
    span: Span
    expectations: Expectations
    causes: Causes
    rows: dict[str, list[GapRow]]
    resting: dict[str, Resting]

    def parts(
        self, every: Sequence[FleetMeter], most: Callable[[], int]
    ) -> Iterator[Sequence[FleetMeter]]:
        """Yields meters, as many at a time as may be read at once: few where they capture often.

        `most` is asked before each part, for by then more may be known of them.
        """
        start = 0
        while start < len(every):
            end = start
            room, last = CAPTURES_AT_ONCE, min(len(every), start + most())
            while end == start or (end < last and room >= self._expected(every[end])):
                room -= self._expected(every[end])
                end += 1
            yield every[start:end]
            start = end

    def _expected(self, meter: FleetMeter) -> int:
        """Returns how many captures of a meter the span has."""
        return (self.span.now - self.span.read_from) // self.expectations.told_period_s(meter)

    def rests(self, meter: FleetMeter, *, news: bool) -> bool:
        """Says whether a meter may still rest; once it may not, not before it was judged."""
        known = self.resting.pop(meter.id, None)
        if known is None or news or meter.id in self.rows or self.span.now >= known.until:
            return False
        if self.expectations.told(meter) != known.expected:
            return False
        self.resting[meter.id] = known
        return True

    def let_rest(self, cases: Sequence[fleet.Case], whole: Mapping[str, int]) -> None:
        """Lets meters of which nothing is missing rest until their next capture is due."""
        for meter, _, due, *_ in cases:
            if meter.id in whole:
                until = whole[meter.id] + self.span.now - due.end
                self.resting[meter.id] = Resting(until, self.expectations.told(meter))

    def is_doubtful(self, meter: FleetMeter, listed: Sequence[GapRow]) -> bool:
        """Says whether rows may have to change even if they are what is missing.

        Given-up captures count apart; an unknown cause may be known by now.
        """
        if any(row.state == SETTLED for row in listed):
            return True
        if all(row.cause != UNKNOWN for row in listed):
            return False
        return self.causes.of(meter, utc(listed[-1].first)) != UNKNOWN


def utc(seconds: int) -> datetime:
    """Returns epoch seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)
