"""Ten thousand meters in one process, each with a live TCP session, asked for a register.

The fleet is `hesper-sim serve` as anyone would start it; a few meters have a port of their own, the
others share one (a process has 20 000 descriptors at most, and both ends count). The clients are a
process of their own (`sim_load`). What is measured is the fleet's process alone: its CPU time from
the system's accounts, kernel included, and its resident memory while every session is open and has
been used.

The values of the last round are checked meter by meter against the fleet's plan, which is a pure
function of seed and time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from hesper_dlms.apdu import GetRequestNormal
from hesper_dlms.client import AssociationSettings, Authentication, Client
from hesper_dlms.server import ServerConnection, WrapperServerLink
from hesper_dlms.wrapper import wrap
from hesper_sim import fleet, memory
from hesper_sim.district import District
from hesper_sim.served import MeterServer

from hesper_lab.bench.exchanges import drive
from hesper_lab.bench.rows import Row, per_second, row
from hesper_lab.bench.sim_load import CLIENT, REGISTER, Target

METERS: Final = 10_000
OWN_PORTS: Final = 50
SECONDS: Final = 8.0
TARGET_GETS_PER_S: Final = 50_000.0
TARGET_RSS_MB: Final = 60.0
_HISTORY_DAYS: Final = 30
_PERIOD_S: Final = 900
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_KIB_PER_MB: Final = 1024


def run() -> list[Row]:
    """Measure a fleet; about 20 seconds."""
    return measure(METERS, SECONDS)


def measure(meters: int, seconds: float) -> list[Row]:
    """Measure a fleet of so many meters, asked for so many seconds."""
    own = min(OWN_PORTS, meters // 2)
    settings = fleet.FleetSettings(
        tcp=own, shared=meters - own, dial_in=0, rs485=0, push=False, replay_s=10
    )
    plan = fleet.plan(settings)
    with tempfile.TemporaryDirectory() as folder, serving(settings, Path(folder)) as ready:
        pid = int(ready["pid"])
        targets = _targets(plan, ready["listeners"])
        with _loading({"targets": targets, "seconds": seconds}) as load:
            before_s = cpu_s(pid)
            asked = _told(load, "go")
            spent_s = cpu_s(pid) - before_s
            rss_mb = rss_mb_of(pid)
        _check(plan, Path(folder) / "reckoned", asked)
    gets = float(asked["gets"])
    return [
        row("sim.get", gets / max(spent_s, 1 / _TICKS_PER_S), "GET/s", TARGET_GETS_PER_S),
        row("sim.get_wall", gets / asked["wall_s"], "GET/s"),
        row("sim.get_memory", _in_memory(plan, min(seconds, 2.0)), "GET/s"),
        row("sim.rss_mb", rss_mb, "MB", TARGET_RSS_MB),
        row("sim.sessions", float(meters), "sessions", float(METERS)),
    ]


@contextmanager
def serving(
    settings: fleet.FleetSettings, folder: Path, history_days: int = _HISTORY_DAYS
) -> Iterator[dict[str, Any]]:
    """Serve the fleet in a process of its own; yields its ready line."""
    path = folder / "fleet.toml"
    path.write_text(settings.to_toml(), encoding="utf-8")
    command = [sys.executable, "-m", "hesper_sim", "serve", "--json", "--fleet", str(path)]
    options = ["--state", str(folder / "state"), "--history-days", str(history_days)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(_line(process.stdout))
        finally:
            process.terminate()


@contextmanager
def _loading(task: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """Run the clients in a process of their own until they are told to go away."""
    command = [sys.executable, "-m", "hesper_lab.bench.sim_load"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            _told(process, json.dumps(task))
            yield process
        finally:
            process.terminate()


def _told(process: subprocess.Popen[str], line: str) -> dict[str, Any]:
    if process.stdin is None:
        raise RuntimeError("the clients cannot be spoken to")
    process.stdin.write(line + "\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(_line(process.stdout))
    return answer


def _line(stream: IO[str] | None) -> str:
    line = stream.readline() if stream else ""
    if not line:
        raise RuntimeError("a process of the benchmark ended early; its stderr says why")
    return line


def _targets(plan: fleet.Fleet, listeners: dict[str, str]) -> list[Target]:
    targets: list[Target] = []
    for meter in plan.meters:
        host, _, port = listeners[meter.line].rpartition(":")
        targets.append(
            Target(
                host=host,
                port=int(port),
                server_address=meter.server_address,
                password=meter.password,
            )
        )
    return targets


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mb_of(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / _KIB_PER_MB


def _check(plan: fleet.Fleet, folder: Path, asked: dict[str, Any]) -> None:
    """Raise ValueError unless every meter answered what its load curve says."""
    reckoned = memory.wake(plan, folder, _PERIOD_S, _HISTORY_DAYS, time.time)
    begun, ended = int(asked["asked_at"]), int(time.time()) + 1
    for meter, value in zip(reckoned.meters.values(), asked["values"], strict=True):
        least, most = (meter.energy_wh(at).active_import for at in (begun, ended))
        if not least <= value <= most:
            raise ValueError(f"meter {meter.serial} answered {value}, not {least} to {most}")
    reckoned.close()


def _in_memory(plan: fleet.Fleet, seconds: float) -> float:
    """Return GET/s of one meter's server without sockets, checked once."""
    with tempfile.TemporaryDirectory() as folder:
        district = memory.wake(plan, Path(folder), _PERIOD_S, _HISTORY_DAYS, time.time)
        try:
            return _asked_in_memory(district, seconds)
        finally:
            district.close()


def _asked_in_memory(district: District, seconds: float) -> float:
    meter = next(iter(district.meters.values()))
    port = meter.plan.server_address
    connection = ServerConnection(MeterServer(district, meter), WrapperServerLink(port))
    password = meter.plan.password.encode()
    settings = AssociationSettings(CLIENT, port, Authentication.LOW, password=password)
    drive(Client(settings.over_wrapper(), settings).connect(), connection)
    request = wrap(CLIENT, port, GetRequestNormal(0xC1, REGISTER).to_octets())
    return per_second(lambda: connection.receive(request), 1, seconds)
