"""How much time and CPU time each stage of ingest takes, told by the metrics."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hesper_cloud import metrics


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts time and CPU time of this thread while the context lasts."""
    begun, entered = time.thread_time(), time.monotonic()
    try:
        yield
    finally:
        metrics.STAGE_CPU.labels(name).inc(time.thread_time() - begun)
        metrics.STAGE_SECONDS.labels(name).observe(time.monotonic() - entered)
