"""One head end as processes: a trace from gateway to store, a command's trace, rules, JSON logs."""

import asyncio
import json
import re
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hesper_contracts import commands, trace
from hesper_contracts.frame import Kind
from hesper_contracts.readings import MeterRows, Quantity, Section
from hesper_contracts.results import CommandResult, Findings
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.status import GatewayStatus, Presence
from hesper_contracts.topics import Topics
from hesper_gateway.broker_link import Account
from hesper_gateway.config.tracing import TracingConfig
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox
from hesper_gateway.tracing import Tracing
from hesper_gateway.uplink import Ears, Identity, Uplink
from hesper_lab import system
from patience import eventually

pytestmark = pytest.mark.integration
GATEWAY, METER = "gw-1", "HES12642984"
RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "hesper.rules.yml"
DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "prometheus.json"
DEADLINE_S = 60.0
METRIC = re.compile(r"\bhesper_[a-z_]+")


def section(meter: str, count: int = 6) -> Section:
    first = int(time.time()) // 900 * 900 - 900 * count
    times = [first + 900 * index for index in range(count)]
    values: list[int | None] = [1000 + 7 * index for index in range(count)]
    rows = MeterRows(meter, times, [0] * count, [0] * count, [values])
    energy = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
    return Section(bytes((1, 0, 99, 1, 0, 255)), times[-1] + 1, (energy,), [rows])


class TracedGateway:
    """The gateway's own outbox, uplink and tracing, on the real broker."""

    def __init__(self, folder: Path, running: Any, signer: Signer, endpoint: str) -> None:
        self.database = Database(folder / "gateway.db", ballast_octets=4096)
        self.outbox = Outbox(self.database, signer)
        self.tracing = Tracing(GATEWAY, TracingConfig(ratio=1.0, endpoint=endpoint))
        self.commands: asyncio.Queue[bytes] = asyncio.Queue()
        self._started = datetime.now(UTC)
        self.uplink = Uplink(
            Account("127.0.0.1", running.broker_port, GATEWAY),
            Identity(GATEWAY, Topics(), Keyring.of(running.receipt_key)),
            self.outbox,
            Ears(self._status, self._deliver, tracing=self.tracing),
        )

    def _status(self, state: Presence) -> GatewayStatus:
        return GatewayStatus(
            gateway=GATEWAY, boot_id="b", state=state,
            sent_at=datetime.now(UTC), started_at=self._started,
        )  # fmt: skip

    def _deliver(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.COMMANDS:
            self.commands.put_nowait(payload)

    @asynccontextmanager
    async def online(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.uplink.run())
        try:
            await self.uplink.connected.wait()
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def drained(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.outbox.backlog_batches:  # noqa: ASYNC110 - the outbox tells nobody
                await asyncio.sleep(0.02)
        await self.tracing.send()


@pytest.fixture
def gateway(
    tmp_path: Path, running: Any, gateway_signer: Signer, otlp: Any
) -> Iterator[TracedGateway]:
    made = TracedGateway(tmp_path, running, gateway_signer, otlp.url)
    yield made
    made.database.close()


async def test_one_trace_leads_from_the_gateway_to_the_store(
    gateway: TracedGateway, otlp: Any
) -> None:
    numbers = [await gateway.outbox.append_readings([section(METER)]) for _ in range(2)]
    traces = []
    for number in numbers:
        batch = gateway.outbox.load(number)
        assert batch is not None
        traces.append(trace.of_batch(GATEWAY, batch.payload))
    async with gateway.online():
        await gateway.drained()
    for trace_id in traces:
        names = {"batch under way", "ingest readings", "store"}
        await asyncio.to_thread(eventually, lambda: names <= set(otlp.of(trace_id)), "the spans")  # noqa: B023
        sent, stored = (otlp.of(trace_id)[name] for name in ("batch under way", "store"))
        # A batch that waits longer for its receipt comes again, with an "ingest readings" more.
        ingested = otlp.span(stored.parent)
        assert sent.service == "hesper-gateway"
        assert (ingested.name, ingested.service) == ("ingest readings", "hesper-head-end")
        assert (sent.parent, ingested.parent) == ("", sent.span_id)
        assert sent.begun_ns <= ingested.begun_ns <= stored.begun_ns
        assert stored.begun_ns < stored.ended_ns <= ingested.ended_ns
        group = next(
            s for s in otlp.spans if s.name == "ingest group" and s.span_id in stored.links
        )
        assert ingested.span_id in group.links
        assert group.trace_id != trace_id


async def test_a_command_is_one_trace_from_request_to_result(
    gateway: TracedGateway, running: Any, otlp: Any
) -> None:
    ann = await asyncio.to_thread(running.bearer, "ann", "asking-politely-1")
    wish = {"kind": "ping", "meter": METER, "parameters": {}}
    async with gateway.online(), httpx.AsyncClient(base_url=running.url, headers=ann) as client:
        asked = await client.post(
            "/api/v1/commands", json=wish, headers={"Idempotency-Key": uuid.uuid4().hex}
        )
        assert asked.status_code < 300, asked.text
        async with asyncio.timeout(DEADLINE_S):
            payload = await gateway.commands.get()
        command = commands.from_payload(payload, Keyring.of(running.command_key), GATEWAY)
        result = CommandResult(
            command_id=command.id, gateway=GATEWAY, meter=METER, state="confirmed",
            at=datetime.now(UTC), findings=Findings(logical_device_name="HSP0012642984000"),
        )  # fmt: skip
        await gateway.outbox.append_result(result)
        await gateway.drained()
    trace_id = trace.of_command(command.id)
    way = ("command requested", "command signed", "command at the gateway", "ingest results")
    names = {*way, "store results", "command settled"}
    await asyncio.to_thread(eventually, lambda: names <= set(otlp.of(trace_id)), "the spans")
    spans = otlp.of(trace_id)
    for above, below in pairwise(way):
        assert spans[below].parent == spans[above].span_id, below
    assert spans["command settled"].parent == spans["command at the gateway"].span_id
    services = [spans[name].service for name in way]
    assert services == ["hesper-head-end", "hesper-authority", "hesper-gateway", "hesper-head-end"]


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory, running: Any) -> Iterator[str]:
    """A VictoriaMetrics that scrapes the head end every second, as Prometheus would."""
    found = system.find("victoria-metrics")
    if found is None:
        pytest.skip("victoria-metrics is not installed")
    folder = tmp_path_factory.mktemp("victoria")
    scrape = {
        "scrape_configs": [
            {
                "job_name": "hesper",
                "scrape_interval": "1s",
                "static_configs": [{"targets": [f"127.0.0.1:{running.port}"]}],
            }
        ]
    }
    (folder / "scrape.yml").write_text(yaml.safe_dump(scrape))
    port = running.port_for_victoria
    options = {
        "storageDataPath": folder / "data", "httpListenAddr": f"127.0.0.1:{port}",
        "promscrape.config": folder / "scrape.yml", "retentionPeriod": "100y",
        "search.latencyOffset": "0s", "search.disableCache": "true",
    }  # fmt: skip
    with (folder / "log").open("wb") as log:
        words = [found.path, *(f"-{name}={value}" for name, value in options.items())]
        server = subprocess.Popen(words, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    server.kill()
    server.wait()


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def asked(url: str, expression: str, at: float | None = None) -> list[Any]:
    query = {"query": expression} | ({} if at is None else {"time": str(at)})
    answer = httpx.get(f"{url}/api/v1/query", params=query, timeout=60.0).json()
    assert answer["status"] == "success", (expression, answer)
    found: list[Any] = answer["data"]["result"]
    return found


def answers(url: str) -> bool:
    try:
        return bool(asked(url, "up"))
    except httpx.TransportError:
        return False


def test_rules_and_dashboard_name_metrics_that_a_head_end_shows(
    running: Any, victoria: str
) -> None:
    eventually(lambda: answers(victoria), "a scrape")
    page = httpx.get(f"{running.url}/metrics", timeout=60.0).text
    shown = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
    shown |= {line.split("{")[0].split()[0] for line in page.splitlines() if line[0] != "#"}
    shown |= {f"{name}_total" for name in shown} | {f"{name}_bucket" for name in shown}
    panels = json.loads(DASHBOARD.read_text())["panels"]
    drawn = [target["expr"] for panel in panels for target in panel["targets"]]
    for expression in [*(rule["expr"] for rule in rules()), *drawn]:
        named = set(METRIC.findall(expression))
        assert named <= shown, expression
        asked(victoria, expression.replace("$__rate_interval", "1m"))
    scraped = set(
        httpx.get(f"{victoria}/api/v1/label/__name__/values", timeout=60.0).json()["data"]
    )
    assert scraped >= {
        "hesper_ingest_readings_total",
        "hesper_stage_seconds_bucket",
        "hesper_gateways",
        "hesper_backlog_batches",
        "hesper_disk_free_bytes",
        "hesper_alerts_open",
    }
    assert asked(victoria, 'up{job="hesper"}')[0]["value"][1] == "1"


def imported(url: str, samples: list[str]) -> None:
    said = httpx.post(f"{url}/api/v1/import/prometheus", content="\n".join(samples), timeout=60.0)
    assert said.status_code == 204, said.text
    httpx.get(f"{url}/internal/force_flush", timeout=60.0).raise_for_status()


def rule(name: str) -> str:
    return str(next(each["expr"] for each in rules() if each["alert"] == name))


CASES: dict[str, tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]] = {
    "HesperHighLatency": (
        {'hesper_ingest_receipt_seconds_bucket{le="5"}': (0, 10),
         'hesper_ingest_receipt_seconds_bucket{le="10"}': (0, 100),
         'hesper_ingest_receipt_seconds_bucket{le="+Inf"}': (0, 100)},
        {'hesper_ingest_receipt_seconds_bucket{le="5"}': (0, 100),
         'hesper_ingest_receipt_seconds_bucket{le="10"}': (0, 100),
         'hesper_ingest_receipt_seconds_bucket{le="+Inf"}': (0, 100)},
    ),
    "HesperNoReadings": (
        {'hesper_ingest_readings_total{outcome="new"}': (500, 500),
         'hesper_meters{area="none",state="online"}': (3, 3)},
        {'hesper_ingest_readings_total{outcome="new"}': (500, 600),
         'hesper_meters{area="none",state="online"}': (3, 3)},
    ),
    "HesperReceiptsMissing": (
        {'hesper_ingest_messages_total{kind="readings"}': (1, 90),
         'hesper_ingest_receipts_total{verdict="stored"}': (7, 7)},
        {'hesper_ingest_messages_total{kind="readings"}': (1, 90),
         'hesper_ingest_receipts_total{verdict="stored"}': (7, 80)},
    ),
    "HesperBacklogGrows": (
        {"hesper_backlog_batches": (200, 900)}, {"hesper_backlog_batches": (900, 200)},
    ),
    "HesperDiskFull": (
        {'hesper_disk_free_bytes{place="state"}': (5e9, 5e9),
         'hesper_disk_size_bytes{place="state"}': (1e11, 1e11)},
        {'hesper_disk_free_bytes{place="state"}': (5e10, 5e10),
         'hesper_disk_size_bytes{place="state"}': (1e11, 1e11)},
    ),
    "HesperDeadLetters": (
        {'hesper_ingest_dead_letters_total{kind="readings"}': (4, 5)},
        {'hesper_ingest_dead_letters_total{kind="readings"}': (4, 4)},
    ),
    "HesperCertificateEnds": (
        {'hesper_certificates_late{kind="server"}': (1, 1)},
        {'hesper_certificates_late{kind="server"}': (0, 0),
         'hesper_certificate_expires_seconds{kind="server"}': (4e5, 4e5)},
    ),
    "HesperCertificateOver": (
        {'hesper_certificates_late{kind="gateway"}': (1, 1),
         'hesper_certificate_expires_seconds{kind="gateway"}': (5e4, 5e4)},
        {'hesper_certificates_late{kind="gateway"}': (0, 0),
         'hesper_certificate_expires_seconds{kind="gateway"}': (5e4, 5e4)},
    ),
}  # fmt: skip


def moments() -> dict[tuple[str, int], int]:
    """When each case's made-up history begins: long before the first scrape, none in another's."""
    first = int(time.time()) - 90 * 86_400
    return {(name, turn): first + 86_400 * (2 * number + turn)
            for number, name in enumerate(CASES) for turn in (0, 1)}  # fmt: skip


def test_rules_fire_on_what_they_are_for_and_on_nothing_else(victoria: str) -> None:
    eventually(lambda: answers(victoria), "a scrape")
    begins = moments()
    samples = [
        f"{metric} {low + (high - low) * step / 100} {1000 * (begins[name, turn] + 15 * step)}"
        for name, cases in CASES.items()
        for turn, series in enumerate(cases)
        for metric, (low, high) in series.items()
        for step in range(101)
    ]
    imported(victoria, samples)
    fired = {
        name: [bool(asked(victoria, rule(name), begins[name, turn] + 1500)) for turn in (0, 1)]
        for name in CASES
    }
    assert fired == {name: [True, False] for name in CASES}


def test_the_log_is_json_without_secrets(running: Any) -> None:
    secrets = [path.read_text().strip() for path in running.settings.keys.glob("*.key")]
    ann = running.bearer("ann", "asking-politely-1")["Authorization"]
    wrong = {"username": "ann", "password": "wrong-one"}
    assert (
        httpx.post(f"{running.url}/api/v1/auth/login", json=wrong, timeout=60.0).status_code == 401
    )
    assert secrets
    for role in ("run", "authority"):
        lines = [json.loads(line) for line in running.log(role).splitlines()]
        assert lines
        assert all({"at", "level", "logger", "message"} <= set(line) for line in lines)
        text = running.log(role)
        for secret in (*secrets, "asking-politely-1", "wrong-one", ann.removeprefix("Bearer ")):
            assert secret not in text
