"""Traces (W3C Trace Context, level 1): one over a batch's way, one over a command's.

Theory of operation
-------------------
What has an identity for ever needs no trace id beside it: the trace of a batch is derived from its
gateway, epoch and sequence, that of a command from its id. So a batch that is sent again, by
another process and days later, is in the same trace, and nothing is stored for it. Spans under
which others hang (`Span`) have ids derived from trace and name: they may be told after the others.

Whoever begins a trace decides whether it is sampled, from the trace id alone (the same answer
everywhere for the same ratio), and says so in the MQTT 5 user property ``traceparent``. What is not
sampled carries no such property.
"""

import hashlib
import re
from typing import Literal, NamedTuple

PROPERTY = "traceparent"
Span = Literal["request", "sign", "gateway"]
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_FIRST = slice(4, 20)  # of a batch's payload: epoch and sequence
_NONE = {"0" * 32, "0" * 16}
_SAMPLED = 1


class TraceContext(NamedTuple):
    """Names a trace and the span in it under which the next one hangs; lower-case hex."""

    trace_id: str
    span_id: str
    sampled: bool = True

    def traceparent(self) -> str:
        """Return the header's text."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def parse(text: str) -> TraceContext | None:
    """Return what a ``traceparent`` says; None where it is none, which is never an error."""
    found = _FORM.fullmatch(text)
    if found is None or not _NONE.isdisjoint(found.groups()):
        return None
    trace_id, span_id, flags = found.groups()
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def of_batch(gateway: str, payload: bytes) -> str:
    """Return the trace id of a batch, from its gateway and the identity in its payload."""
    return _trace_id(b"batch " + gateway.encode() + b"/" + payload[_FIRST])


def of_command(command_id: str) -> str:
    """Return the trace id of a command."""
    return _trace_id(b"command " + command_id.encode())


def span_id(trace_id: str, span: Span) -> str:
    """Return the id of a span under which others hang."""
    return hashlib.sha256(f"hesper span {trace_id} {span}".encode()).hexdigest()[:16]


def context(trace_id: str, span: Span) -> TraceContext:
    """Return the context of a sampled trace under one of its spans."""
    return TraceContext(trace_id, span_id(trace_id, span))


def is_sampled(trace_id: str, ratio: float) -> bool:
    """Say whether a trace is among the sampled ones; ``ratio`` is their share, 0 to 1."""
    return int(trace_id[16:], 16) < ratio * 2**64


def _trace_id(identity: bytes) -> str:
    return hashlib.sha256(b"hesper trace " + identity).hexdigest()[:32]
