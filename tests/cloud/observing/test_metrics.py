"""Labels say stage, area, quantity, operation and the like; never an id, whatever the fleet."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from hesper_cloud import metrics
from hesper_cloud.app import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.quantity_counts import count_values
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.fleet_figures import MOST_AREAS, FleetFigures
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Quantity
from hesper_cloud.turns import Job, keep_turns, perform
from hesper_contracts.quality import Quality
from prometheus_client import REGISTRY
from prometheus_client.samples import Sample
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

# What a label may say; whoever adds one thinks about how many values it can have.
LABELS = {
    "area", "cause", "code", "door", "group", "hop", "job", "kind", "le", "operation", "outcome",
    "place", "quality", "quantity", "severity", "stage", "state", "verdict", "generation",
    "implementation", "major", "minor", "patchlevel", "version",
}  # fmt: skip
PASSWORD = "asking-politely-1"


def samples() -> list[Sample]:
    return [sample for metric in REGISTRY.collect() for sample in metric.samples]


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
def sources(head_end: Any) -> Iterator[Sources]:
    settings = head_end.settings
    store = DuckDbStore(settings.readings_file)
    authority = open_engine(settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    yield Sources(settings, registry, authority, store, LatestValues(), now_utc)
    store.close()
    authority.dispose()


@pytest.fixture
async def client(sources: Sources) -> AsyncIterator[httpx.AsyncClient]:
    services = assemble(sources, lambda: 0.0)
    transport = httpx.ASGITransport(create_app(services, sources.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client
    services.energy.close()


def block(meters: list[str], quantities: list[str], quality: int = 0) -> Block:
    count = len(meters)
    return Block(
        profile="1.0.99.1.0.255",
        quantities=tuple(Quantity(name, 0, 30) for name in quantities),
        meters=tuple(meters),
        meter_index=np.arange(count),
        captured_at=np.full(count, 1_780_000_000),
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.full(count, quality),
        received_at=1_780_000_000,
        values=np.ones((len(quantities), count), dtype=np.int64),
        missing=None,
    )


def enlarge(sources: Sources, start: int, count: int) -> list[str]:
    """Adds meters in areas of their own and gateways; returns every id that is new."""
    now, ids = now_utc(), []
    with writing(sources.registry) as session:
        for number in range(start, start + count):
            meter, gateway = f"HESX{number:08d}", f"gw-x-{number}"
            failures = {"timeout": 2, f"gw-{number}": 1, f"HESX{number:08d}": 1}
            session.add(
                Gateway(
                    id=gateway,
                    state="online",
                    first_seen_at=now,
                    backlog=3,
                    attributes={"failures": failures},
                    oldest_unreceipted_at=now - timedelta(seconds=9),
                )
            )
            session.add(
                Meter(
                    id=meter,
                    state="commissioned",
                    gateway_id=None,
                    area=f"Area {number:05d}",
                    first_seen_at=now - timedelta(days=2),
                    last_contact_at=now,
                    capture_period_s=900,
                )
            )
            ids += [meter, gateway]
    return ids


async def exercise(sources: Sources, client: httpx.AsyncClient, ids: list[str]) -> None:
    figures, letters = FleetFigures(sources), DeadLetters(sources.registry)
    figures.turn()
    figures.count_reads()
    said = {"username": "ann", "password": PASSWORD}
    token = (await client.post("/api/v1/auth/login", json=said)).json()["token"]
    client.cookies.clear()
    for name in ids[:6]:
        letters.add(f"hesper/v1/{name}/up/{name}", b"?" + name.encode(), "nonsense")
        for path in (f"/meters/{name}/latest", f"/meters/{name}", f"/{name}", f"/gateways/{name}"):
            headers = {"Authorization": f"Bearer {token}"}
            await client.get(f"/api/v1{path}", headers=headers)
            await client.request(name, f"/api/v1{path}")
    names = [f"1.0.{number}.8.0.255" for number in range(200)]
    count_values(block(ids[:5], names), np.ones(5, dtype=bool))


async def test_labels_hold_no_id_and_do_not_grow_with_the_fleet(
    sources: Sources, client: httpx.AsyncClient
) -> None:
    others = len(samples())  # of what else this process has done
    ids = enlarge(sources, 0, MOST_AREAS + 20)
    await exercise(sources, client, ids)
    before = len(samples())
    more = enlarge(sources, 1000, 60)
    await exercise(sources, client, more)
    after = samples()
    assert len(after) <= before
    assert len(after) - others < 3_000
    values = {value for sample in after for value in sample.labels.values()}
    held = [each for each in (*ids, *more, "HES12642984", "ann") for value in values
            if each in value.split("/") or each == value]  # fmt: skip
    assert held == []
    used = {
        label for sample in after if sample.name.startswith("hesper") for label in sample.labels
    }
    assert used <= LABELS
    areas = {sample.labels["area"] for sample in after if sample.name == "hesper_meters"}
    assert metrics.OTHER in areas
    assert len(areas) <= MOST_AREAS + 1


def test_figures_of_the_fleet_are_those_of_the_databases(sources: Sources) -> None:
    enlarge(sources, 0, 3)
    FleetFigures(sources).turn()
    FleetFigures(sources).count_reads()
    assert value("hesper_meters", area="Area 00001", state="online") == 1
    assert value("hesper_gateways", state="online") == 3
    assert value("hesper_backlog_batches") == 9
    assert value("hesper_backlog_oldest_seconds") >= 9
    assert value("hesper_gateway_failures_since_start", hop="timeout") == 6
    assert value("hesper_gateway_failures_since_start", hop="other") == 6
    assert value("hesper_reads_due", area="Area 00001") > 80
    assert value("hesper_reads_stored", area="Area 00001") == 0
    assert (
        0
        < value("hesper_disk_free_bytes", place="state")
        < value("hesper_disk_size_bytes", place="state")
    )


def test_gateways_that_were_removed_or_deleted_are_in_no_figure(sources: Sources) -> None:
    enlarge(sources, 0, 3)
    gone: dict[str, dict[str, Any]] = {
        "gw-x-1": {"life": "removed"},
        "gw-x-2": {"deleted_at": now_utc()},
    }
    with writing(sources.registry) as session:
        for name, values in gone.items():
            session.execute(update(Gateway).where(Gateway.id == name).values(**values))
    FleetFigures(sources).turn()
    assert value("hesper_gateways", state="online") == 1
    assert value("hesper_backlog_batches") == 3
    assert value("hesper_gateway_failures_since_start", hop="timeout") == 2


def test_values_and_doubts_are_counted_by_quantity_and_flag() -> None:
    energy, strange = "1.0.1.8.0.255", "1.1.94.91.0.255"
    before = {name: value("hesper_store_values_total", quantity=name) for name in (energy, "other")}
    doubted = value("hesper_readings_doubted_total", quality="out_of_range")
    three = block(["M1", "M2", "M3"], [energy, strange], int(Quality.OUT_OF_RANGE))
    count_values(three, np.array([True, True, False]))
    for name in (energy, "other"):
        assert value("hesper_store_values_total", quantity=name) == before[name] + 2
    assert value("hesper_readings_doubted_total", quality="out_of_range") == doubted + 2


def test_jobs_that_are_put_off_are_counted_by_cause() -> None:
    def fails() -> None:
        raise OperationalError("SELECT", {}, Exception("locked"))

    done = value("hesper_job_runs_total", job="a test", outcome="done")
    perform(Job("a test", 1, lambda: None))
    assert value("hesper_job_runs_total", job="a test", outcome="done") == done + 1
    assert value("hesper_job_ended_timestamp_seconds", job="a test") > 1e9
    put_off = value("hesper_job_runs_total", job="a test", outcome="put off")
    assert perform(Job("a test", 1, fails)) is not None
    assert value("hesper_job_runs_total", job="a test", outcome="put off") == put_off + 1
    assert value("hesper_errors_total", operation="job a test", cause="OperationalError") >= 1
    assert value("hesper_stage_seconds_count", stage="job a test") >= 2


async def test_a_job_that_never_ended_well_is_late_since_the_start() -> None:
    began, asked = asyncio.Event(), datetime(2026, 6, 1, tzinfo=UTC)
    runs: Any = SimpleNamespace(last_begun=dict, began=lambda *_: began.set())
    goes_on = threading.Event()
    hangs = Job("a job that hangs", 1, goes_on.wait)
    turns = asyncio.create_task(keep_turns([hangs], runs, lambda: asked, lambda: 0.0))
    await began.wait()
    ended = value("hesper_job_ended_timestamp_seconds", job=hangs.name)
    turns.cancel()
    goes_on.set()
    await asyncio.wait([turns])
    assert ended == asked.timestamp()


async def test_requests_are_counted_by_route(client: httpx.AsyncClient) -> None:
    names = {"operation": "GET /meters/{meter_id}", "code": "401"}
    before = value("hesper_http_requests_total", **names)
    await client.get("/api/v1/meters/HES12642984")
    assert value("hesper_http_requests_total", **names) == before + 1
