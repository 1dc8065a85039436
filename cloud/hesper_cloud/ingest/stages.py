"""How much time and CPU time each stage of ingest takes, told by the metrics; and when, for traces.

A turn that is traced records its stages, on whichever thread: `recorded` names their list.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from hesper_cloud import metrics


class Mark(NamedTuple):
    """One stage of a traced turn; epoch nanoseconds."""

    stage: str
    begun_ns: int
    ended_ns: int


_marks: ContextVar[list[Mark] | None] = ContextVar("marks", default=None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts time and CPU time of this thread while the context lasts."""
    begun, entered = time.thread_time(), time.monotonic()
    try:
        yield
    finally:
        spent_s = time.monotonic() - entered
        metrics.STAGE_CPU.labels(name).inc(time.thread_time() - begun)
        metrics.STAGE_SECONDS.labels(name).observe(spent_s)
        marks = _marks.get()
        if marks is not None:
            ended_ns = time.time_ns()
            marks.append(Mark(name, ended_ns - int(spent_s * 1e9), ended_ns))


@contextmanager
def recorded(marks: list[Mark] | None) -> Iterator[None]:
    """Lets this thread's stages be written to a list, if there is one, while the context lasts."""
    token = _marks.set(marks)
    try:
        yield
    finally:
        _marks.reset(token)
