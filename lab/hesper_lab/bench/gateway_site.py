"""A gateway to be measured: broker, configuration and agent as processes of their own."""

from __future__ import annotations

import configparser
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from hesper_contracts.signing import Signer
from hesper_sim import fleet

from hesper_lab import private_file, system, toml_text
from hesper_lab.bench.gateway_cycles import PERIOD_S
from hesper_lab.ports import free_port

UNIT: Final = Path(__file__).parents[3] / "deploy" / "hesper-gateway.service"
NEVER_S: Final = 86_400.0
_READ_WITHIN_S: Final = 120.0
_LISTENS_WITHIN_S: Final = 10.0


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run a broker of our own."""
    port = free_port()
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
def agent(folder: Path) -> Iterator[int]:
    """Run the agent as it is installed; yields its process id."""
    # The interpreter itself, so that the process measured is the agent and nothing around it.
    start = "from hesper_gateway.cli import main; main()"
    command = [sys.executable, "-c", start, "run", "-c", str(folder / "gateway.toml")]
    environment = os.environ | _unit_environment()
    with (
        (folder / "agent.log").open("wb") as log,
        subprocess.Popen(command, stderr=log, env=environment) as process,
    ):
        try:
            yield process.pid
        finally:
            process.terminate()


def _unit_environment() -> dict[str, str]:
    """Return what the agent's unit sets."""
    unit = configparser.RawConfigParser(strict=False)
    unit.read(UNIT, encoding="utf-8")
    words = unit.get("Service", "Environment", fallback="").split()
    return dict(word.split("=", 1) for word in words)


def configure(
    folder: Path,
    plan: fleet.Fleet,
    listeners: dict[str, str],
    broker_port: int,
    ingest: Signer,
    template: str = "hesper-sim",
    **changes: Any,
) -> None:
    """Write gateway.toml and all that it names.

    Args:
        folder: Where to.
        plan: The meters.
        listeners: Where each line of them answers, as the simulator has said.
        broker_port: On this machine.
        ingest: Signs receipts.
        template: Of the meters; one of its own lies in the folder `templates`.
        changes: Tables in place of those that are written.
    """
    Signer.generate().save(folder / "gateway.key")
    document: dict[str, Any] = {
        "gateway": "gw-bench",
        "state": "agent",
        "broker": {"host": "127.0.0.1", "port": broker_port},
        "keys": {"receipts": {ingest.key_id: ingest.public_key.hex()}},
        "schedule": {"profile_s": NEVER_S, "snapshot_s": NEVER_S, "events_s": NEVER_S},
        "lines": [_line(meter, listeners) for meter in plan.meters],
        "meters": [_meter(folder, meter, template) for meter in plan.meters],
    }
    text = toml_text.text(document | changes)
    (folder / "gateway.toml").write_text(text, encoding="utf-8")


def _line(meter: fleet.MeterPlan, listeners: dict[str, str]) -> dict[str, Any]:
    host, _, port = listeners[meter.line].rpartition(":")
    return {"name": meter.line, "kind": "tcp", "host": host, "port": int(port)}


def _meter(folder: Path, meter: fleet.MeterPlan, template: str) -> dict[str, Any]:
    """Write a meter's keys; return its table."""
    keys = {
        "encryption_key": meter.encryption_key.hex(),
        "authentication_key": meter.authentication_key.hex(),
    }
    keys_file = f"{meter.serial}.json"
    private_file.write(folder / keys_file, json.dumps(keys))
    return {
        "id": meter.serial,
        "line": meter.line,
        "template": template,
        "logical_device_name": meter.logical_device_name,
        "server_address": meter.server_address,
        "system_title": meter.system_title.hex(),
        "keys_file": keys_file,
    }


def await_readings(folder: Path, meters: int) -> None:
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
