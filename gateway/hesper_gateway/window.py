"""Which batches are under way: a bounded window with resending, and no input or output of its own.

Theory of operation
-------------------
A batch is under way from its first publish until its receipt. At most so many readings are under
way at once; results and events have room of their own, so that a command's outcome never waits
behind days of backlog. A batch without a receipt becomes due again after 5 s, then 10, 20 … 300,
with jitter. When the broker was lost or a cloud role announces itself, all become due at once,
except those published within the last second: their receipts may well be on the way.

Batches go through broker and store in order. So the receipt of one that was published a single time
says that what was published well before it, and has no receipt, was lost: a broker forgets what its
queue has no room for, as when many gateways begin to send at once. That becomes due again, too,
but once: where two consumers share the work, the slower one may still have it.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

FIRST_RESEND_S = 5.0
LAST_RESEND_S = 300.0
GRACE_S = 1.0


class Backlog(Protocol):
    """What the window asks of the outbox."""

    def urgent(self) -> Iterable[int]:
        """Yields unreceipted results and events, most urgent first."""

    def readings_after(self, sequence: int, limit: int) -> Sequence[int]:
        """Returns the next unreceipted batches of readings above a sequence."""


@dataclass(slots=True)
class _Flight:
    due_at: float
    sent_at: float
    attempts: int = 0
    copies: int = 0
    overtaken: bool = False


class Window:
    """The batches under way.

    Args:
        backlog: Where the batches wait.
        size: Most batches of readings under way, and most of the others.
        jitter: Factor around 1 for each resend delay.
    """

    def __init__(
        self,
        backlog: Backlog,
        size: int,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),  # noqa: S311 - no secret
    ) -> None:
        self._backlog = backlog
        self._size = size
        self._jitter = jitter
        self._urgent: dict[int, _Flight] = {}
        self._readings: dict[int, _Flight] = {}
        self._newest = -1

    def due(self, now: float) -> list[int]:
        """Returns what to publish now, most urgent first, oldest first among readings."""
        for sequence in self._backlog.urgent():
            if len(self._urgent) >= self._size:
                break
            self._urgent.setdefault(sequence, _Flight(now, -GRACE_S))
        room = self._size - len(self._readings)
        for sequence in self._backlog.readings_after(self._newest, room) if room > 0 else ():
            self._readings.setdefault(sequence, _Flight(now, -GRACE_S))
            self._newest = sequence
        return [
            sequence
            for flights in (self._urgent, self._readings)
            for sequence, flight in flights.items()
            if flight.due_at <= now
        ]

    def sent(self, sequence: int, now: float) -> None:
        """Notes that a batch is being published; its next turn comes when no receipt does."""
        flight = self._urgent.get(sequence) or self._readings.get(sequence)
        if flight is not None:
            delay = (
                min(FIRST_RESEND_S * 2.0 ** min(flight.attempts, 10), LAST_RESEND_S)
                * self._jitter()
            )
            flight.attempts += 1
            flight.copies += 1
            flight.sent_at = now
            flight.due_at = now + delay

    def released(self, sequences: Iterable[int]) -> None:
        """Forgets batches whose receipts came; what they have overtaken is due."""
        overtaken_at = -math.inf
        for sequence in sequences:
            flight = self._urgent.pop(sequence, None) or self._readings.pop(sequence, None)
            if flight is not None and flight.copies == 1:
                overtaken_at = max(overtaken_at, flight.sent_at - GRACE_S)
        for flight in (*self._urgent.values(), *self._readings.values()):
            if flight.copies and flight.sent_at < overtaken_at and not flight.overtaken:
                flight.overtaken = True
                flight.due_at = min(flight.due_at, overtaken_at)

    def dropped(self, sequence: int) -> None:
        """Forgets a batch that the outbox has no more: no receipt, so nothing was overtaken."""
        self._urgent.pop(sequence, None)
        self._readings.pop(sequence, None)

    def taken_back(self, from_sequence: int) -> None:
        """Looks again for readings to send, from a sequence on: they are in the backlog again."""
        self._newest = min(self._newest, from_sequence - 1)

    def wake(self) -> None:
        """Makes everything under way due, save what was published within the last second."""
        for flight in (*self._urgent.values(), *self._readings.values()):
            flight.attempts, flight.overtaken = 0, False
            flight.due_at = min(flight.due_at, flight.sent_at + GRACE_S)

    def wait_s(self, now: float) -> float:
        """Returns how long nothing becomes due by itself, in seconds."""
        flights = (*self._urgent.values(), *self._readings.values())
        return max(0.0, min((flight.due_at for flight in flights), default=now + 3600) - now)
