"""How much of its time ingest's writer works: what is left is for the jobs."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WINDOW_S = 5.0


class Occupation:
    """Follows one thread over the last seconds; `share` may be asked from any other."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._spans: deque[tuple[float, float]] = deque()
        self._begun: float | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """Counts the time while the context lasts as work."""
        begun = self._begun = self._monotonic()
        try:
            yield
        finally:
            now, self._begun = self._monotonic(), None
            self._spans.append((begun, now))
            while self._spans[0][1] < now - _WINDOW_S:
                self._spans.popleft()

    def share(self) -> float:
        """Returns the share of the last seconds that was work, from 0 to 1."""
        now = self._monotonic()
        since, begun = now - _WINDOW_S, self._begun
        worked = sum(max(0.0, end - max(start, since)) for start, end in tuple(self._spans))
        if begun is not None:
            worked += now - max(begun, since)
        return min(1.0, worked / _WINDOW_S)
