"""The trace that is being worked on, for log lines and error reports of the same thread or task."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def current_trace() -> str:
    """Returns the trace id, 32 hex digits, or nothing."""
    return _trace_id.get()


def begin_trace(trace_id: str) -> None:
    """Names the trace for the rest of this task: what fails is told after `within` has ended."""
    _trace_id.set(trace_id)


@contextmanager
def within(trace_id: str) -> Iterator[None]:
    """Names the trace while the context lasts."""
    token = _trace_id.set(trace_id)
    try:
        yield
    finally:
        _trace_id.reset(token)
