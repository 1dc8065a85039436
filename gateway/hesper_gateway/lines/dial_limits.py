"""How many calls and messages a radio cell bears, by a clock that nobody sets.

The book of the `ledger` outlives restarts, but its times are those of a clock that may be set: an
hour that is skipped would give a cell another share. So this run also counts by the time since it
began, and both have to agree.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

HOUR_S = 3600
DAY_S = 86400


class DialOut(StrEnum):
    """What costs money each time."""

    CALL = "call"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many of one kind a cell bears."""

    per_hour: int
    per_day: int

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Each span, in seconds, and how many it bears."""
        return (HOUR_S, self.per_hour), (DAY_S, self.per_day)


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit that is reached: by what, and after how long there is room again."""

    text: str
    wait_s: float


def reached(cell: str, kind: DialOut, span_s: int, most: int, wait_s: float) -> Reached:
    """Return a limit that is reached."""
    return Reached(f"{cell}: {most} {kind}s in {span_s // HOUR_S} h are made already", wait_s)


class SteadyCount:
    """What each cell has had since this run began.

    Args:
        steady: Seconds, by a clock that nobody sets.
    """

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._made: defaultdict[tuple[str, DialOut], deque[float]] = defaultdict(deque)

    def take(self, cell: str, kind: DialOut, limits: Limits) -> Reached | None:
        """Count one more, or return the limit that forbids it."""
        now, made = self._steady(), self._made[cell, kind]
        while made and made[0] <= now - DAY_S:
            made.popleft()
        for span_s, most in limits.spans:
            recent = [at for at in made if at > now - span_s]
            if len(recent) >= most:
                wait_s = recent[-most] + span_s - now if most else span_s
                return reached(cell, kind, span_s, most, wait_s)
        made.append(now)
        return None

    def give_back(self, cell: str, kind: DialOut) -> None:
        """Forget the last one: it was not made."""
        self._made[cell, kind].pop()
