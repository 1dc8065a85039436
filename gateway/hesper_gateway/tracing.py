"""Traces batches and commands through this gateway, where gateway.toml asks for it.

Theory of operation. A batch that is sampled leaves with its `traceparent`. A command that came with
one has it again on its results. What this gateway did itself is one span for each: from the first
publish of a batch until its receipt, and from a command's arrival until its outcome leaves. Spans
go out as OTLP over HTTP in its JSON form, which takes no library; the newest few hundred wait while
nobody takes them, and nothing is ever retried at the cost of a reading.
"""

import asyncio
import json
import logging
import time
import urllib.error
import urllib.request
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from hesper_contracts import results, trace
from hesper_contracts.frame import Kind, Refused

from hesper_gateway.batches import Batch
from hesper_gateway.config.tracing import TracingConfig

log = logging.getLogger(__name__)

MOST_KEPT = 500
SEND_EVERY_S = 5.0
_POST_TIMEOUT_S = 10.0
_PRODUCER, _CONSUMER = 4, 5  # SpanKind of OTLP
_UNFINISHED = frozenset({"acknowledged", "executing"})
_About = dict[str, str | int]
T = TypeVar("T")


class _Begun(NamedTuple):
    """A span whose end is not known yet."""

    trace_id: str
    begun_ns: int
    about: _About
    parent: str = ""


class Tracing:
    """Knows which batches and commands are traced; belongs to the event loop's thread."""

    def __init__(
        self, gateway: str, config: TracingConfig, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._gateway = gateway
        self._ratio = config.ratio
        self._endpoint = config.endpoint
        self._clock_ns = clock_ns
        self._batches: OrderedDict[int, _Begun] = OrderedDict()
        self._commands: OrderedDict[str, _Begun] = OrderedDict()
        self._told: deque[dict[str, Any]] = deque(maxlen=MOST_KEPT)

    def leaving(self, batch: Batch) -> str | None:
        """Returns the trace context of a batch that is published now; None for most of them."""
        if batch.kind is Kind.RESULTS:
            return self._of_result(batch)
        trace_id = trace.of_batch(self._gateway, batch.payload)
        if not trace.is_sampled(trace_id, self._ratio):
            return None
        if batch.sequence not in self._batches:
            about: _About = {
                "hesper.kind": str(batch.kind),
                "hesper.octets": len(batch.payload),
            }
            begun = _Begun(trace_id, self._clock_ns(), about)
            _keep(self._batches, batch.sequence, begun)
        return trace.context(trace_id, "gateway").traceparent()

    def receipted(self, sequences: Iterable[int]) -> None:
        """Ends the spans of batches whose receipts came."""
        for sequence in sequences:
            begun = self._batches.pop(sequence, None)
            if begun is not None:
                self._tell(begun, "batch under way", _PRODUCER)

    def heard(self, traceparent: str) -> None:
        """Notes that a command came with a trace context."""
        context = trace.parse(traceparent)
        if context is not None and context.sampled and context.trace_id not in self._commands:
            begun = _Begun(context.trace_id, self._clock_ns(), {}, context.span_id)
            _keep(self._commands, context.trace_id, begun)

    def _of_result(self, batch: Batch) -> str | None:
        try:
            named = results.named(batch.payload)
        except Refused:
            return None
        trace_id = trace.of_command(named.command_id)
        begun = self._commands.get(trace_id)
        if begun is None:
            return None
        if named.state not in _UNFINISHED and not begun.about:
            about: _About = {"hesper.outcome": named.state}
            _keep(self._commands, trace_id, begun._replace(about=about))
            self._tell(begun._replace(about=about), "command at the gateway", _CONSUMER)
        return trace.context(trace_id, "gateway").traceparent()

    def _tell(self, begun: _Begun, name: str, kind: int) -> None:
        if self._endpoint is not None:
            self._told.append(_span(begun, name, kind, self._clock_ns()))

    async def run(self) -> None:
        """Sends what is told every few seconds until cancelled; failures cost old spans alone."""
        if self._endpoint is None:
            return
        while True:
            await asyncio.sleep(SEND_EVERY_S)
            await self.send()

    async def send(self) -> None:
        """Sends all that is told."""
        if self._endpoint is None or not self._told:
            return
        spans = list(self._told)
        self._told.clear()
        try:
            await asyncio.to_thread(_post, self._endpoint, _request(self._gateway, spans))
        except (OSError, urllib.error.URLError, ValueError) as error:
            log.info("%d spans were not taken: %s", len(spans), error)
            self._told.extendleft(reversed(spans[: MOST_KEPT - len(self._told)]))


def _keep(begun: "OrderedDict[T, _Begun]", key: T, value: _Begun) -> None:
    begun[key] = value
    if len(begun) > MOST_KEPT:
        begun.popitem(last=False)


def _span(begun: _Begun, name: str, kind: int, ended_ns: int) -> dict[str, Any]:
    """Returns a span in OTLP's JSON form: ids in hex, 64-bit integers as text."""
    return {
        "traceId": begun.trace_id,
        "spanId": trace.span_id(begun.trace_id, "gateway"),
        **({"parentSpanId": begun.parent} if begun.parent else {}),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(begun.begun_ns),
        "endTimeUnixNano": str(max(ended_ns, begun.begun_ns)),
        "attributes": [_attribute(key, value) for key, value in begun.about.items()],
    }


def _attribute(key: str, value: str | int) -> dict[str, Any]:
    said = {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}
    return {"key": key, "value": said}


def _request(gateway: str, spans: list[dict[str, Any]]) -> bytes:
    resource = [
        _attribute("service.name", "hesper-gateway"),
        _attribute("service.instance.id", gateway),
    ]
    scoped = [{"scope": {"name": "hesper_gateway"}, "spans": spans}]
    document = {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scoped}]}
    return json.dumps(document).encode()


def _post(endpoint: str, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(endpoint, body, headers)  # noqa: S310 - http(s) by its config
    with urllib.request.urlopen(request, timeout=_POST_TIMEOUT_S):  # noqa: S310 - the same
        pass
