"""Tracing at the gateway: sampled batches, commands that came with a trace, a dead collector."""

import asyncio
import json
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import trace
from hesper_contracts.readings import Section
from hesper_contracts.results import CommandResult, ResultState
from hesper_gateway.batches import Batch
from hesper_gateway.config.tracing import TracingConfig
from hesper_gateway.outbox import Outbox
from hesper_gateway.tracing import MOST_KEPT, Tracing
from pydantic import ValidationError

COMMAND = "0f2c9d0e-6f0b-4a58-8d7e-0a1b2c3d4e5f"


@pytest.fixture
def told() -> Iterator[tuple[str, list[Any]]]:
    """A collector, and what it was told."""
    found: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", found
    server.shutdown()
    thread.join()
    server.server_close()


async def stored(outbox: Outbox, section: Callable[..., Section]) -> Batch:
    found = outbox.load(await outbox.append_readings([section("M1", 900)]))
    assert found is not None
    return found


async def answered(outbox: Outbox, state: ResultState) -> Batch:
    result = CommandResult(
        command_id=COMMAND, gateway="gw-1", meter="M1", state=state, at=datetime.now(UTC)
    )
    found = outbox.load(await outbox.append_result(result))
    assert found is not None
    return found


def spans(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


async def test_only_sampled_batches_carry_a_trace(
    outbox: Outbox, section: Callable[..., Section]
) -> None:
    tracing = Tracing("gw-1", TracingConfig(ratio=0.5))
    batches = [await stored(outbox, section) for _ in range(40)]
    said = [tracing.leaving(each) for each in batches]
    assert 5 < sum(each is not None for each in said) < 35
    assert said == [tracing.leaving(each) for each in batches]  # sent again: the same trace
    for each, text in zip(batches, said, strict=True):
        if text is not None:
            context = trace.parse(text)
            assert context is not None
            assert context.trace_id == trace.of_batch("gw-1", each.payload)
    assert not any(map(Tracing("gw-1", TracingConfig(ratio=0)).leaving, batches))


async def test_a_receipt_ends_the_span_and_the_collector_hears_of_it(
    outbox: Outbox, section: Callable[..., Section], told: tuple[str, list[Any]]
) -> None:
    url, documents = told
    ticks = iter((1_000, 2_000, 9_000))
    tracing = Tracing("gw-1", TracingConfig(ratio=1, endpoint=url), lambda: next(ticks))
    first, second = await stored(outbox, section), await stored(outbox, section)
    for each in (first, second, first):
        tracing.leaving(each)
    tracing.receipted([first.sequence, 77])
    await tracing.send()
    (span,) = spans(documents[0])
    assert (span["startTimeUnixNano"], span["endTimeUnixNano"]) == ("1000", "9000")
    assert span["traceId"] == trace.of_batch("gw-1", first.payload)
    assert "parentSpanId" not in span


async def test_a_result_has_the_trace_that_its_command_came_with(
    outbox: Outbox, told: tuple[str, list[Any]]
) -> None:
    url, documents = told
    tracing = Tracing("gw-1", TracingConfig(ratio=0, endpoint=url))
    assert tracing.leaving(await answered(outbox, "executing")) is None  # came without one
    above = trace.context(trace.of_command(COMMAND), "sign")
    for text in ("", "nonsense", above._replace(sampled=False).traceparent()):
        tracing.heard(text)
    assert tracing.leaving(await answered(outbox, "executing")) is None
    tracing.heard(above.traceparent())
    said = [tracing.leaving(await answered(outbox, state)) for state in ("executing", "confirmed")]
    assert said == [trace.context(above.trace_id, "gateway").traceparent()] * 2
    await tracing.send()
    (span,) = spans(documents[0])
    assert span["parentSpanId"] == above.span_id
    assert span["attributes"] == [{"key": "hesper.outcome", "value": {"stringValue": "confirmed"}}]


async def test_a_collector_that_is_away_costs_old_spans_alone(
    outbox: Outbox, section: Callable[..., Section]
) -> None:
    tracing = Tracing("gw-1", TracingConfig(ratio=1, endpoint="http://127.0.0.1:9/v1/traces"))
    for _ in range(3):
        batch = await stored(outbox, section)
        tracing.leaving(batch)
        tracing.receipted([batch.sequence])
    await tracing.send()
    assert len(tracing._told) == 3
    for number in range(2 * MOST_KEPT):
        tracing.heard(trace.context(trace.of_command(str(number)), "sign").traceparent())
    assert len(tracing._commands) == MOST_KEPT


@pytest.mark.parametrize("endpoint", ["file:///etc/passwd", "collector:4318", "ftp://x"])
def test_an_endpoint_is_http(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        TracingConfig(endpoint=endpoint)


async def test_nothing_is_loaded_where_nothing_is_traced(tmp_path: Path) -> None:
    code = (
        "import hesper_gateway.app, sys; "
        "sys.exit('hesper_gateway.tracing' in sys.modules or 'opentelemetry' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
