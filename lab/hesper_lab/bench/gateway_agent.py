"""The agent as it is installed, with meters of the simulator: its memory and what it costs idle.

Meters, broker and agent are processes of their own; receipts come from here. The agent first reads
every meter's whole load profile until all is sent and receipted; then it is started again, visits
every meter once, and is measured over a stretch in which no visit is due.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from hesper_contracts.signing import Signer
from hesper_sim import fleet

from hesper_lab import private_file, system, toml_text
from hesper_lab.bench.gateway_cycles import PERIOD_S
from hesper_lab.bench.gateway_receipts import giving
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s, rss_mb_of, serving

METERS: Final = 100
TARGET_RSS_MB: Final = 80.0
TARGET_IDLE_PERCENT: Final = 1.0
_READ_WITHIN_S: Final = 120.0
_LISTENS_WITHIN_S: Final = 10.0
_RESTARTED_S: Final = 15.0
"""Long enough for every meter to be visited once, jitter included."""
_NEVER_S: Final = 86_400.0
_PERCENT: Final = 100


def run(meters: int, seconds: float) -> list[Row]:
    """Measure an agent with so many meters, idle for so many seconds."""
    settings = fleet.FleetSettings(
        tcp=meters, shared=0, dial_in=0, rs485=0, push=False, replay_s=10
    )
    plan = fleet.plan(settings)
    with tempfile.TemporaryDirectory() as name, serving(settings, Path(name)) as ready:
        folder = Path(name)
        ingest = Signer.generate()
        with _broker(folder) as port, giving(port, ingest):
            _configure(folder, plan, ready["listeners"], port, ingest)
            with _agent(folder) as pid:
                _await_readings(folder, meters)
                after_first = rss_mb_of(pid)
            with _agent(folder) as pid:
                time.sleep(_RESTARTED_S)
                _await_readings(folder, meters)
                before_s, begun = cpu_s(pid), time.monotonic()
                time.sleep(seconds)
                spent_s = cpu_s(pid) - before_s
                idle = _PERCENT * spent_s / (time.monotonic() - begun)
                resident = rss_mb_of(pid)
    return [
        row("gateway.rss_mb", resident, "MB", TARGET_RSS_MB),
        row("gateway.rss_mb.first_reading", after_first, "MB"),
        row("gateway.idle_cpu", idle, "% of a core", TARGET_IDLE_PERCENT),
    ]


@contextmanager
def _broker(folder: Path) -> Iterator[int]:
    """Run a broker of our own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    program = system.find("mosquitto")
    if program is None:
        raise system.Missing("the benchmark of the agent needs mosquitto")
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="ascii")
    with subprocess.Popen([program.path, "-c", file], stderr=subprocess.DEVNULL) as process:
        try:
            _await_listener(port)
            yield port
        finally:
            process.terminate()


def _await_listener(port: int) -> None:
    deadline = time.monotonic() + _LISTENS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def _agent(folder: Path) -> Iterator[int]:
    # The interpreter itself, so that the process measured is the agent and nothing around it.
    start = "from hesper_gateway.cli import main; main()"
    command = [sys.executable, "-c", start, "run", "-c", str(folder / "gateway.toml")]
    with (folder / "agent.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield process.pid
        finally:
            process.terminate()


def _configure(
    folder: Path,
    plan: fleet.Fleet,
    listeners: dict[str, str],
    broker_port: int,
    ingest: Signer,
) -> None:
    Signer.generate().save(folder / "gateway.key")
    lines, meters = [], []
    for meter in plan.meters:
        host, _, port = listeners[meter.line].rpartition(":")
        lines.append({"name": meter.line, "kind": "tcp", "host": host, "port": int(port)})
        keys = {
            "encryption_key": meter.encryption_key.hex(),
            "authentication_key": meter.authentication_key.hex(),
        }
        private_file.write(folder / f"{meter.serial}.json", json.dumps(keys))
        meters.append(
            {
                "id": meter.serial,
                "line": meter.line,
                "template": "hesper-sim",
                "logical_device_name": meter.logical_device_name,
                "server_address": meter.server_address,
                "system_title": meter.system_title.hex(),
                "keys_file": f"{meter.serial}.json",
            }
        )
    document: dict[str, Any] = {
        "gateway": "gw-bench",
        "state": "agent",
        "broker": {"host": "127.0.0.1", "port": broker_port},
        "keys": {"receipts": {ingest.key_id: ingest.public_key.hex()}},
        "schedule": {"profile_s": _NEVER_S, "snapshot_s": _NEVER_S, "events_s": _NEVER_S},
        "lines": lines,
        "meters": meters,
    }
    text = toml_text.text(document)
    (folder / "gateway.toml").write_text(text, encoding="utf-8")


def _await_readings(folder: Path, meters: int) -> None:
    """Wait until every meter's load profile was stored and nothing waits for a receipt."""
    deadline = time.monotonic() + _READ_WITHIN_S
    path = folder / "agent" / "gateway.db"
    while time.monotonic() < deadline:
        if path.exists():
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
                if _read_count(connection) >= meters and not _waiting_count(connection):
                    return
        time.sleep(0.5)
    log = (folder / "agent.log").read_text(encoding="utf-8", errors="replace")
    raise RuntimeError(f"not every meter was read: {log[-2000:]}")


def _read_count(connection: sqlite3.Connection) -> int:
    try:
        (count,) = connection.execute(
            "SELECT count(DISTINCT meter) FROM progress WHERE captured_at >= ?",
            (int(time.time()) - 2 * PERIOD_S,),
        ).fetchone()
    except sqlite3.OperationalError:
        return 0  # the agent is still making its tables
    return int(count)


def _waiting_count(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute("SELECT count(*) FROM backlog").fetchone()
    return int(count)
