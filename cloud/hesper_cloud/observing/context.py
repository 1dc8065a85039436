"""The trace that is being worked on, for log lines and error reports of the same thread or task."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def current_trace() -> str:
    """Returns the trace id, 32 hex digits, or nothing."""
    return _trace_id.get()


@contextmanager
def within(trace_id: str) -> Iterator[None]:
    """Names the trace while the context lasts."""
    token = _trace_id.set(trace_id)
    try:
        yield
    finally:
        _trace_id.reset(token)
