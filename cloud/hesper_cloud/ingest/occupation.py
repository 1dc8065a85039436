"""How much of its time ingest works, its writer or its teller: what is left is for the jobs."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WINDOW_S = 5.0


class Occupation:
    """Follows threads over the last seconds; `share` may be asked from any other.

    Time counts once, however many of them work.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._spans: deque[tuple[float, float]] = deque()
        self._at_work = 0
        self._begun = 0.0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Counts the time while the context lasts as work."""
        with self._lock:
            if not self._at_work:
                self._begun = self._monotonic()
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if not self._at_work:
                    self._ended(self._monotonic())

    def _ended(self, now: float) -> None:
        self._spans.append((self._begun, now))
        while self._spans[0][1] < now - _WINDOW_S:
            self._spans.popleft()

    def share(self) -> float:
        """Returns the share of the last seconds that was work, from 0 to 1."""
        now = self._monotonic()
        since = now - _WINDOW_S
        with self._lock:
            worked = sum(max(0.0, end - max(start, since)) for start, end in self._spans)
            if self._at_work:
                worked += now - max(self._begun, since)
        return min(1.0, worked / _WINDOW_S)
