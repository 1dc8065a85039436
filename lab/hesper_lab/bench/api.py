"""REST: a page from memory, and a mix of reads that no memory answers while readings come in.

The load generator is our own (`api_load`), in a process of its own; it verifies the status of every
answer. The head end is the whole of ``hesper-cloud run``, with its rules, jobs and console, once on
each store.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
from hesper_cloud import provision
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings

from hesper_lab.bench import ingest_run
from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.ingest_batches import name_of
from hesper_lab.bench.ingest_run import Load
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s
from hesper_lab.site import StoreKind

SECONDS: Final = 8.0
_METERS: Final = 10_000
_READINGS_PER_S: Final[dict[StoreKind, float]] = {"duckdb": 100_000.0, "influx": 6_700.0}
"""What comes in beside the reads; a tenth or more of what the store takes."""

_GATEWAYS: Final = 4
_CONNECTIONS: Final = 32
_MIXED_CONNECTIONS: Final = 4
_PAGE: Final = "/api/v1/meters?limit=100"
_PASSWORD: Final = "viewing-for-a-benchmark"  # noqa: S105 - an account that lives for a minute


@dataclass(frozen=True, slots=True)
class Answered:
    """What one load came to."""

    per_second: float
    p95_ms: float
    head_end_cpu: float


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="hesper bench api", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each row runs")
    parser.add_argument("--meters", type=int, default=_METERS, help="how many there are")
    parser.add_argument("--store", choices=("duckdb", "influx"), help="one; both without")
    return parser.parse_args(arguments)


def run(asked: argparse.Namespace) -> list[Row]:
    """Measure a page and a mix, on the stores that are asked for."""
    rows: list[Row] = []
    if asked.store != "influx":
        rows += _measured("duckdb", asked)
    if asked.store != "duckdb":
        rows += _measured("influx", asked)
    return rows


def _measured(kind: StoreKind, asked: argparse.Namespace) -> list[Row]:
    names = [f"gw-{number}" for number in range(_GATEWAYS)]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        running(Path(name) / "site", kind, names) as head_end,
    ):
        token = _token(head_end)
        fill = Load(seconds=3.0, meters=asked.meters, gateways=_GATEWAYS, shape=100)
        ingest_run.drive(head_end, fill, names)
        page = _load(head_end, token, [_PAGE], _CONNECTIONS, asked.seconds)
        with _ingesting(head_end, kind, names, asked):
            mix = list(_mixed(asked.meters))
            mixed = _load(head_end, token, mix, _MIXED_CONNECTIONS, asked.seconds)
    return [
        row(f"api.page.{kind}", page.per_second, "requests/s", 10_000.0),
        row(f"api.page.p95_ms.{kind}", page.p95_ms, "ms", 20.0),
        row(f"api.page.cpu.{kind}", page.head_end_cpu, "cores of the head end"),
        row(f"api.p95_ms.{kind}", mixed.p95_ms, "ms", 100.0),
        row(f"api.mixed.{kind}", mixed.per_second, "requests/s"),
    ]


def _token(head_end: HeadEnd) -> str:
    """Return the bearer token of a viewer."""
    databases = Databases.open(Settings.load(head_end.site.cloud / "cloud.toml"))
    provision.add_user(databases.authority, "bench", "viewer", _PASSWORD)
    databases.close()
    credentials = {"username": "bench", "password": _PASSWORD}
    answer = httpx.post(f"{head_end.site.url}/api/v1/auth/login", json=credentials, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["token"])


def _mixed(meters: int) -> Iterator[str]:
    """Yield paths: latest values, a day's curve, raw readings, pages; no two are alike."""
    now = datetime.now(UTC)
    since = quote((now - timedelta(days=1)).isoformat())
    span = f"from={since}&to={quote((now + timedelta(minutes=10)).isoformat())}"
    for number in range(0, meters, max(1, meters // 500)):
        meter = name_of(number)
        yield f"/api/v1/meters/{meter}/latest"
        yield f"/api/v1/meters/{meter}/series?logical_name=1.0.1.8.0.255&{span}"
        yield f"/api/v1/readings?meter={meter}&{span}&limit=100"
        yield f"/api/v1/meters?limit=50&offset={number}"


def _load(
    head_end: HeadEnd, token: str, paths: Sequence[str], connections: int, seconds: float
) -> Answered:
    requests = [
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n"
        for path in paths
    ]
    task = {
        "port": head_end.site.ports.web,
        "requests": [each.encode("ascii").hex() for each in requests],
        "connections": connections,
        "seconds": seconds,
    }
    pid = head_end.children["cloud"].pid
    before_s = cpu_s(pid)
    command = [sys.executable, "-m", "hesper_lab.bench.api_load"]
    done = subprocess.run(
        command, input=json.dumps(task) + "\n", capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    if answer["refused"]:
        raise ValueError(f"{answer['refused']} of {answer['answers']} answers were not 200")
    return Answered(
        answer["answers"] / answer["wall_s"],
        1e3 * statistics.quantiles(answer["delays_s"], n=20)[18],
        (cpu_s(pid) - before_s) / answer["wall_s"],
    )


@contextmanager
def _ingesting(
    head_end: HeadEnd, kind: StoreKind, names: Sequence[str], asked: argparse.Namespace
) -> Iterator[None]:
    """Let readings come in, beside, for as long as a load lasts."""
    load = Load(
        seconds=asked.seconds + 2,
        meters=asked.meters,
        gateways=_GATEWAYS,
        shape=100,
        per_second=_READINGS_PER_S[kind],
    )
    beside = threading.Thread(target=ingest_run.drive, args=(head_end, load, names))
    beside.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        beside.join()
