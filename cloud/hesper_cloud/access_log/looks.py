"""Looks that are not written down yet: taking one costs a reader a few microseconds.

Theory of operation. Whoever shows interval data notes a `Look` first. Looks that are alike within
one flush are one row with a count, so a page that is asked for a hundred times a second makes one
row a second. The rows are written by `keeping`, once a second and at the end. While the database
takes none they wait here; when as many wait as may, nobody is shown anything (`LooksFull`): data
that nobody could answer for is not handed out.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

MOST_WAITING = 100_000


class Look(NamedTuple):
    """One look: without a meter at all of the area, without both at every meter.

    ``from_at`` and ``to_at`` are epoch seconds of the captures that were asked for, the end
    excluded; None where the question names none.
    """

    who: str
    door: str
    operation: str
    meter: str | None = None
    area: str | None = None
    from_at: int | None = None
    to_at: int | None = None


@dataclass(slots=True)
class Times:
    """When looks that are alike were taken, and how many."""

    first_at: datetime
    last_at: datetime
    count: int = 1


class LooksFull(Exception):
    """So many looks wait for the database that no more can be answered for."""


class Looks:
    """The looks that wait; may be used from any thread."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[Look, Times] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, looks: Sequence[Look], at: datetime) -> None:
        """Notes looks, before anything is shown.

        Raises:
            LooksFull: too many wait already; none of these is noted, and nothing may be shown.
        """
        with self._lock:
            if len(self._waiting) + len(looks) > self._most:
                raise LooksFull(f"{len(self._waiting)} looks wait to be written down")
            for look in looks:
                self._add(look, Times(at, at))

    def take(self) -> dict[Look, Times]:
        """Returns what waits, and forgets it: it is the caller's to write down."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        return taken

    def put_back(self, taken: dict[Look, Times]) -> None:
        """Takes back what could not be written."""
        with self._lock:
            for look, times in taken.items():
                self._add(look, times)

    def _add(self, look: Look, times: Times) -> None:
        known = self._waiting.get(look)
        if known is None:
            self._waiting[look] = times
            return
        known.first_at = min(known.first_at, times.first_at)
        known.last_at = max(known.last_at, times.last_at)
        known.count += times.count
