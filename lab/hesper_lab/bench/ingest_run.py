"""One run of the ingest benchmark: broker, head end and gateways, and what they came to."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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


class Moment(NamedTuple):
    """How far a run is: readings that were due and receipted so far, memory of the head end."""

    seconds: float
    due: float
    receipted: float
    rss_mb: float


class Measured(NamedTuple):
    """What one run came to."""

    readings: float
    wall_s: float
    octets: float
    p99_ms: float
    shares: dict[str, float]
    moments: list[Moment]
    stored_octets: float

    def rss_mb(self, part: float) -> float:
        """Return the head end's memory after a part, 0 to 1, of the run."""
        at = part * self.wall_s
        return min(self.moments, key=lambda moment: abs(moment.seconds - at)).rss_mb

    @property
    def per_second(self) -> float:
        """Readings that were receipted, each second of the clock on the wall."""
        return self.readings / self.wall_s


Watch = Callable[[HeadEnd, Moment], None]


def measure(load: Load, store: StoreKind = "duckdb") -> Measured:
    """Run broker, head end and gateways and return what they came to."""
    names = [f"gw-{number}" for number in range(load.gateways)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name) / "site"
        with running(folder, store, names, tls=load.tls) as head_end:
            answer, shares, moments = drive(head_end, load, names)
            check(head_end, answer)
        stored = head_end.stored_octets()
    delays = sorted(answer["delays_s"])
    return Measured(
        answer["readings"],
        answer["wall_s"],
        answer["octets"],
        1e3 * statistics.quantiles(delays, n=100)[98] if len(delays) > 1 else 0.0,
        shares,
        moments,
        stored,
    )


def drive(
    head_end: HeadEnd, load: Load, names: Sequence[str], watch: Watch | None = None
) -> tuple[dict[str, Any], dict[str, float], list[Moment]]:
    """Let the gateways publish; return their answer, CPU seconds, and what was seen each second.

    `watch` is called each second, and may do to the head end what could happen to it.
    """
    command = [sys.executable, "-m", "hesper_lab.bench.ingest_load"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as gateways:
        try:
            _tell(gateways, json.dumps(_task(head_end, load, names)))
            _heard(gateways)
            before = ingest_stages.spent(head_end)
            own_before_s = cpu_s(gateways.pid)
            _tell(gateways, "go")
            moments = []
            while "wall_s" not in (answer := _heard(gateways)):
                moments.append(_moment(head_end, load, answer))
                (watch or _show)(head_end, moments[-1])
            moments.append(_moment(head_end, load, answer))
            shares = ingest_stages.shares(before, ingest_stages.spent(head_end))
            shares["gateways (benchmark)"] = answer["cpu_s"] - own_before_s
        finally:
            gateways.kill()
    return answer, shares, moments


def _task(head_end: HeadEnd, load: Load, names: Sequence[str]) -> dict[str, Any]:
    return {
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


def _moment(head_end: HeadEnd, load: Load, told: dict[str, Any]) -> Moment:
    each = load.shape * ROWS
    resident_mb = rss_mb_of(head_end.children["cloud"].pid)
    return Moment(told["seconds"], told["due"] * each, told["receipted"] * each, resident_mb)


def _show(_head_end: HeadEnd, moment: Moment) -> None:
    """Show progress to a person who waits."""
    if sys.stderr.isatty():
        rate = moment.receipted / moment.seconds
        line = f"{moment.seconds:.0f} s: {moment.receipted:,.0f} readings receipted, {rate:,.0f}/s"
        sys.stderr.write(f"\r{line:<79}")


def check(head_end: HeadEnd, answer: dict[str, Any]) -> None:
    """Raise ValueError unless every reading was stored as a new one."""
    if sys.stderr.isatty():
        sys.stderr.write("\r" + " " * 79 + "\r")
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
