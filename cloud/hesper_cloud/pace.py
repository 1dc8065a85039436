"""How often one sender is served: who asks more often than anybody needs takes from nobody."""

import math
import threading
import time
from collections.abc import Callable

_MOST_SENDERS = 20_000


class Pace:
    """A bucket of tokens for each sender; may be used from any thread.

    Args:
        per_s: Tokens that a bucket gains in a second.
        burst: Tokens that it holds.
        monotonic: Seconds, never set back.
    """

    def __init__(
        self, per_s: float, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def admits(self, sender: str) -> bool:
        """Takes a token of a sender's; says whether there was one."""
        return self.take(sender) <= 0

    def take(self, sender: str) -> float:
        """Takes a token of a sender's; returns 0, or how many seconds there is none."""
        now = self._monotonic()
        with self._lock:
            level, at = self._buckets.pop(sender, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._per_s)
            self._buckets[sender] = (level - 1 if level >= 1 else level, now)
            if len(self._buckets) > _MOST_SENDERS:
                del self._buckets[next(iter(self._buckets))]  # who was silent longest
        if level >= 1:
            return 0.0
        return (1 - level) / self._per_s if self._per_s else math.inf
