"""A head end as its user runs it, watched: traces are received, logs read, metrics scraped."""

import gzip
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_cloud import keys
from hesper_cloud.settings import Settings
from hesper_lab.ports import answers, free_port
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from patience import PATIENCE_S, eventually

PROGRAM = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
BROKER = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
"""


@dataclass(frozen=True)
class SpanSeen:
    """One span as it was received; ids in hex."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    links: tuple[str, ...]
    begun_ns: int
    ended_ns: int
    about: dict[str, Any] = field(compare=False, default_factory=dict)


class OtlpReceiver:
    """Takes OTLP over HTTP in both forms, protobuf and JSON, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[SpanSeen] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.headers["Content-Type"] == "application/json":
                    receiver.spans += of_json(json.loads(body))
                else:
                    receiver.spans += of_protobuf(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"

    def of(self, trace_id: str) -> dict[str, SpanSeen]:
        """Returns the spans of a trace by name."""
        return {span.name: span for span in self.spans if span.trace_id == trace_id}

    def span(self, span_id: str) -> SpanSeen:
        """Returns the one span of an id."""
        (found,) = (span for span in self.spans if span.span_id == span_id)
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def of_protobuf(body: bytes) -> list[SpanSeen]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        names = {each.key: each.value.string_value for each in resource.resource.attributes}
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            about = {
                each.key: each.value.string_value or each.value.int_value
                for each in span.attributes
            }
            found.append(
                SpanSeen(
                    names["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    tuple(link.span_id.hex() for link in span.links),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    about,
                )
            )
    return found


def of_json(document: dict[str, Any]) -> list[SpanSeen]:
    found = []
    for resource in document["resourceSpans"]:
        attributes = resource["resource"]["attributes"]
        names = {each["key"]: each["value"]["stringValue"] for each in attributes}
        for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
            about = {e["key"]: next(iter(e["value"].values())) for e in span["attributes"]}
            found.append(
                SpanSeen(
                    names["service.name"],
                    span["name"],
                    span["traceId"],
                    span["spanId"],
                    span.get("parentSpanId", ""),
                    (),
                    int(span["startTimeUnixNano"]),
                    int(span["endTimeUnixNano"]),
                    about,
                )
            )
    return found


@pytest.fixture(scope="module")
def otlp() -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver()
    yield receiver
    receiver.close()


class ErrorCollector:
    """A Sentry-compatible server: keeps the envelopes that are posted to it."""

    def __init__(self) -> None:
        self.envelopes: queue.Queue[tuple[str, str, list[Any]]] = queue.Queue()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                said = [json.loads(line) for line in body.splitlines()]
                collector.envelopes.put((self.path, self.headers["X-Sentry-Auth"], said))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.dsn = f"http://publickey@127.0.0.1:{self._server.server_address[1]}/7"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[ErrorCollector]:
    found = ErrorCollector()
    yield found
    found.close()


class Running:
    """Broker, head end and authority as processes of their own."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.settings = Settings(state=folder / "state")
        self.broker_port, self.port, self.port_for_victoria = (free_port() for _ in range(3))
        self.url = f"http://127.0.0.1:{self.port}"
        self.receipt_key = keys.receipt_signer(self.settings.keys).public_key
        self.command_key = keys.command_signer(self.settings.keys).public_key
        self._endpoint = endpoint
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        folder = self.folder
        broker = folder / "mosquitto.conf"
        broker.write_text(BROKER.format(port=self.broker_port))
        self._start("broker", [MOSQUITTO, "-c", str(broker)])
        config = folder / "cloud.toml"
        config.write_text(
            f"[broker]\nport = {self.broker_port}\n[web]\nport = {self.port}\n"
            '[log]\nformat = "json"\n'
            f'[tracing]\nendpoint = "{self._endpoint}"\nratio = 1.0\n'
        )
        eventually(self._broker_answers, "the broker")
        for role in ("authority", "run"):
            self._start(role, [*PROGRAM, role, "--config", str(config)])
        eventually(self._is_well, "the head end")

    def _start(self, name: str, command: list[str]) -> None:
        environment = {**os.environ, "PYTHONWARNINGS": "default"}
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=environment)
            )

    def _broker_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.broker_port)) == 0

    def _is_well(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, self.log("run") + self.log("authority")
        return answers(f"{self.url}/health")

    def log(self, role: str) -> str:
        return (self.folder / f"{role}.log").read_text()

    def bearer(self, who: str, password: str) -> dict[str, str]:
        said = httpx.post(
            f"{self.url}/api/v1/auth/login",
            json={"username": who, "password": password},
            timeout=60.0,
        )
        assert said.status_code == 200, said.text
        return {"Authorization": f"Bearer {said.json()['token']}"}

    def stop(self) -> None:
        """Stops head end and authority in order, then the broker."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
        self._processes.clear()

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, prepared_state: Path, otlp: OtlpReceiver
) -> Iterator[Running]:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed")
    folder = tmp_path_factory.mktemp("running")
    shutil.copytree(prepared_state, folder / "state")
    made = Running(folder, otlp.url)
    try:
        made.start()
        yield made
    finally:
        made.kill()
