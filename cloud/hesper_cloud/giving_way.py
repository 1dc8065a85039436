"""Work in the background gives way to ingest, which shares the interpreter with it.

One thread at a time runs Python, and takes turns by the tenth of a millisecond: a job that works
for seconds makes readings wait for their receipts all that time. So what goes through a whole fleet
does it in portions, and rests in between: the longer, the busier ingest is (`GivesWay`). What
ingest itself has to write beside readings is written a portion at a time too, and so seldom that it
takes a twentieth of the time (`Seldom`).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TypeVar

_REST = 9.0
"""How often its own length a portion's rest lasts while ingest has no time to spare."""
_SHARE = 20

T = TypeVar("T")

rested_s: ContextVar[float] = ContextVar("rested_s", default=0.0)
"""How long this context has rested so far."""


class GivesWay:
    """Rests between portions of work.

    Args:
        busy: The share of its time that ingest works, 0 to 1.
        sleep: Waits for some seconds.
        monotonic: Seconds.
    """

    def __init__(
        self,
        busy: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._busy = busy
        self._sleep = sleep
        self._monotonic = monotonic

    def portions(self, of: Iterable[T]) -> Iterator[T]:
        """Yields what it is given, and rests after what was done with each."""
        for portion in of:
            begun = self._monotonic()
            yield portion
            if rest_s := (self._monotonic() - begun) * _REST * self._busy():
                self._sleep(rest_s)
                rested_s.set(rested_s.get() + rest_s)


AT_ONCE = GivesWay(lambda: 0.0)
"""Rests never."""


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
        self._due_at = begun + max(pause_s, _SHARE * (self._monotonic() - begun))
