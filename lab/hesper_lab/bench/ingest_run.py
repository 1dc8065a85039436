"""One run of the ingest benchmark: broker, head end and gateways, and what they came to."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from hesper_lab.bench import ingest_stages
from hesper_lab.bench.head_end import HeadEnd, running
from hesper_lab.bench.ingest_batches import ROWS
from hesper_lab.bench.sim import cpu_s, rss_mb_of
from hesper_lab.site import StoreKind

_HISTORY_S: Final = 3_300
"""How far back the first rows were captured: all of a run is of the last hour, as rules want it."""


@dataclass(frozen=True)
class Load:
    """What the gateways send: `shape` meters a batch, six rows each; None: as fast as receipted."""

    shape: int = 500
    seconds: float = 60.0
    meters: int = 100_000
    gateways: int = 8
    window: int = 16
    per_second: float | None = None
    json: bool = False
    tls: bool = False


class Measured(NamedTuple):
    """What one run came to."""

    readings: float
    wall_s: float
    octets: float
    p99_ms: float
    shares: dict[str, float]
    rss_mb: tuple[float, float]
    stored_octets: float

    @property
    def per_second(self) -> float:
        """Readings that were receipted, each second of the clock on the wall."""
        return self.readings / self.wall_s


def measure(load: Load, store: StoreKind = "duckdb") -> Measured:
    """Run broker, head end and gateways and return what they came to."""
    names = [f"gw-{number}" for number in range(load.gateways)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name) / "site"
        with running(folder, store, names, tls=load.tls) as head_end:
            answer, shares, rss_mb = drive(head_end, load, names)
            check(head_end, answer)
        stored = head_end.stored_octets()
    delays = sorted(answer["delays_s"])
    return Measured(
        answer["readings"],
        answer["wall_s"],
        answer["octets"],
        1e3 * statistics.quantiles(delays, n=100)[98] if len(delays) > 1 else 0.0,
        shares,
        rss_mb,
        stored,
    )


def drive(
    head_end: HeadEnd, load: Load, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, float], tuple[float, float]]:
    """Let the gateways publish; return their answer, CPU seconds, and memory half-way and last."""
    task = {
        "shape": load.shape,
        "window": load.window,
        "meters": load.meters,
        "seconds": load.seconds,
        "per_second": load.per_second and load.per_second / (load.shape * ROWS),
        "json": load.json,
        "port": head_end.site.ports.broker,
        "passwords": {name: head_end.passwords[name] for name in names},
        "receipt_key": head_end.receipt_key.hex(),
        "ca": None if head_end.ca is None else str(head_end.ca),
        "start": int(time.time()) - _HISTORY_S,
    }
    pid = head_end.children["cloud"].pid
    command = [sys.executable, "-m", "hesper_lab.bench.ingest_load"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as gateways:
        try:
            _tell(gateways, json.dumps(task))
            _heard(gateways)
            before = ingest_stages.spent(head_end)
            own_before_s = cpu_s(gateways.pid)
            _tell(gateways, "go")
            time.sleep(load.seconds / 2)
            half_way_mb = rss_mb_of(pid)
            answer = _heard(gateways)
            shares = ingest_stages.shares(before, ingest_stages.spent(head_end))
            shares["gateways (benchmark)"] = answer["cpu_s"] - own_before_s
        finally:
            gateways.kill()
    return answer, shares, (half_way_mb, rss_mb_of(pid))


def check(head_end: HeadEnd, answer: dict[str, Any]) -> None:
    """Raise ValueError unless every reading was stored as a new one."""
    stored = head_end.metrics().get("hesper_ingest_readings_total{new}", 0.0)
    if stored != answer["readings"]:
        raise ValueError(f"{answer['readings']} readings were receipted, {stored} stored as new")


def _tell(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin is None:
        raise RuntimeError("the gateways cannot be spoken to")
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("the gateways ended early; their stderr says why")
    answer: dict[str, Any] = json.loads(line)
    return answer
