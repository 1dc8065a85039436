"""How many readings arrive per second, from the counter that ingest keeps anyway."""

import time
from collections import deque

from prometheus_client import REGISTRY

_WINDOW_S = 10.0


class ReadingRate:
    """A mean over the last ten seconds; `sample` is called about once a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def sample(self) -> None:
        """Looks at the counter."""
        now = time.monotonic()
        self._samples.append((now, _stored()))
        while len(self._samples) > 1 and now - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()

    def per_s(self) -> float:
        """Returns readings stored per second."""
        if len(self._samples) < 2:
            return 0.0
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0


def _stored() -> float:
    return REGISTRY.get_sample_value("hesper_ingest_readings_total", {"outcome": "new"}) or 0.0
