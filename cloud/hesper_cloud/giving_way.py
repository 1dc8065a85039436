"""Work in the background gives way to ingest, which shares the interpreter with it.

One thread at a time runs Python, and takes turns by the tenth of a millisecond: a job that works
for seconds makes readings wait for their receipts all that time. So what goes through a whole fleet
does it in portions, and rests in between: the longer, the busier ingest is (`GivesWay`). What
ingest itself has to write beside readings is written a portion at a time too, and so seldom that it
takes a fiftieth of the time (`Seldom`). A portion that took long because it had to wait, for a
locked database say, is no reason to rest as much longer: both have an end. So does a rest when
ingest has time again.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from itertools import islice
from typing import TypeVar

_REST = 9.0
"""How often its own length a portion's rest lasts by how busy ingest is, at least."""
LEAST_SHARE = 0.02
"""Of the time: what each job gets however busy ingest is, and what it writes beside readings."""
_LONGEST_REST_S = 30.0
_LOOK_S = 1.0
_LONGEST_PAUSE_S = 60.0

T = TypeVar("T")
K = TypeVar("K")

rested_s: ContextVar[float] = ContextVar("rested_s", default=0.0)
"""How long this context has rested so far."""


class GivesWay:
    """Rests between portions of work; after `stop`, and in the middle of a rest, no more.

    Args:
        busy: The share of its time that ingest works, 0 to 1.
        sleep: Waits for some seconds; None: until then, or until `stop`.
        monotonic: Seconds.
    """

    def __init__(
        self,
        busy: Callable[[], float],
        sleep: Callable[[float], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.busy = busy
        self._stopped = threading.Event()
        self._sleep = sleep or self._stopped.wait
        self._monotonic = monotonic

    def stop(self) -> None:
        """Ends a rest that somebody takes, and lets the others do without: the process ends."""
        self._stopped.set()

    def portions(self, of: Iterable[T]) -> Iterator[T]:
        """Yields what it is given, and rests after what was done to get and use each.

        A portion may itself be taken in portions: what was rested between those is no work.
        """
        begun, rested = self._monotonic(), rested_s.get()
        for portion in of:
            yield portion
            self._rest_after(self._monotonic() - begun - (rested_s.get() - rested))
            begun, rested = self._monotonic(), rested_s.get()

    def _rest_after(self, worked_s: float) -> None:
        """Rests as long as work asks for, by how busy ingest is meanwhile."""
        rested = 0.0
        while not self._stopped.is_set():
            left_s = min(worked_s * _rest(self.busy()), _LONGEST_REST_S) - rested
            if left_s <= 0:
                break
            look_s = min(left_s, _LOOK_S)
            self._sleep(look_s)
            rested += look_s
        rested_s.set(rested_s.get() + rested)


def _rest(busy: float) -> float:
    """Returns how often its own length a portion's rest lasts: it gets what ingest leaves at most.

    While a backlog drains, and what is missing is on its way anyway, that is a fiftieth.
    """
    share = max(1 - busy, LEAST_SHARE)
    return max(_REST * busy, 1 / share - 1)


NO_RESTS = GivesWay(lambda: 0.0)
"""Rests never."""


def first_of(waiting: dict[K, T], most: int) -> dict[K, T]:
    """Takes away some of what waits, what came first, and returns it."""
    return {key: waiting.pop(key) for key in tuple(islice(waiting, most))}


class Seldom:
    """Gives a thread its turns at writing what it gathers; called from that thread alone.

    Args:
        every_s: The least time from one turn to the next, once everything is written.
        monotonic: Seconds.
    """

    def __init__(self, every_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._monotonic = monotonic
        self._due_at = monotonic()

    def turn(self, write_some: Callable[[], bool], *, at_once: bool = False) -> None:
        """Lets a portion be written if it is time, or all of them; it says whether more wait."""
        if at_once:
            while write_some():
                pass
            return
        begun = self._monotonic()
        if begun < self._due_at:
            return
        pause_s = 0.0 if write_some() else self._every_s
        took_s = self._monotonic() - begun
        self._due_at = begun + max(pause_s, min(took_s / LEAST_SHARE, _LONGEST_PAUSE_S))
