"""Spans that are over, told over OTLP/HTTP; OpenTelemetry's SDK batches, times out and gives up.

Theory of operation. Spans here are made when their work is done, with the times that it took, under
ids that `hesper_contracts.trace` derives or that are drawn at random. So work itself carries no
span objects, and costs nothing where nothing is traced: then there is no `Tracer` at all.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hesper_contracts.trace import TraceContext
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from hesper_cloud.observing_settings import TracingSettings

_SCOPE = InstrumentationScope("hesper_cloud")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_DELAY_MS = 1_000
_TIMEOUT_S = 10
_GOODBYE_MS = 2_000
Value = str | int


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work that is over; times are epoch nanoseconds.

    `parent` is what it hangs under, `links` are what it has to do with in other traces.
    """

    name: str
    context: TraceContext
    begun_ns: int
    ended_ns: int
    parent: TraceContext | None = None
    kind: Literal["internal", "server", "producer", "consumer"] = "internal"
    about: Mapping[str, Value] = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    problem: str = ""


class Tracer:
    """Takes spans from any thread."""

    def __init__(self, settings: TracingSettings, role: str) -> None:
        """Prepares; the endpoint is told in the background."""
        self.ratio = settings.ratio
        self._resource = Resource.create({"service.name": f"hesper-{role}"})
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=_TIMEOUT_S)
        self._processor = BatchSpanProcessor(exporter, schedule_delay_millis=_DELAY_MS)

    def tell(self, span: Span) -> None:
        """Hands a span over to be sent; what cannot be sent is dropped in the end."""
        self._processor.on_end(
            ReadableSpan(
                name=span.name,
                context=_context(span.context),
                parent=None if span.parent is None else _context(span.parent),
                resource=self._resource,
                attributes=span.about,
                links=[Link(_context(each)) for each in span.links],
                kind=SpanKind[span.kind.upper()],
                instrumentation_scope=_SCOPE,
                status=Status(StatusCode.ERROR, span.problem) if span.problem else Status(),
                start_time=span.begun_ns,
                end_time=max(span.begun_ns, span.ended_ns),
            )
        )

    def close(self) -> None:
        """Sends what waits, for two seconds at most."""
        self._processor.force_flush(_GOODBYE_MS)
        self._processor.shutdown()  # type: ignore[no-untyped-call]


def below(parent: TraceContext) -> TraceContext:
    """Returns the context of a new span in the same trace."""
    return TraceContext(parent.trace_id, secrets.token_hex(8))


def beginning() -> TraceContext:
    """Returns the context of the first span of a new trace."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8))


def _context(context: TraceContext) -> SpanContext:
    return SpanContext(
        trace_id=int(context.trace_id, 16),
        span_id=int(context.span_id, 16),
        is_remote=False,
        trace_flags=_SAMPLED,
    )
