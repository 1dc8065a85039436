"""Meters, gateways and an authority around the head end, for commands on their real path.

Everything is a process of its own: broker, head end, authority, gateways as they are installed, and
the simulator with one meter behind a port of its own and the others behind ports that many share,
as behind concentrators.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hesper_cloud import provision
from hesper_cloud.authority.policy import POLICIES
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from hesper_contracts.signing import Signer
from hesper_sim import fleet
from hesper_sim.fleet import Fleet, MeterPlan

from hesper_lab import cloud_files, gateway_files, private_file, toml_text
from hesper_lab.bench import head_end
from hesper_lab.bench.head_end import HeadEnd
from hesper_lab.bench.sim import cpu_s, serving
from hesper_lab.gateway_files import Trust
from hesper_lab.processes import Child, Died
from hesper_lab.rest import Rest
from hesper_lab.site import Account

_BIN: Final = Path(sys.executable).parent
_TEMPLATE: Final = "hesper-sim-relay"
_AT_WILL: Final = 1_000
"""Supplies a minute that may be switched on behind a gateway: one is, again and again."""
_NONE: Final = "none"
_LINES_A_GATEWAY: Final = 8
_UP_WITHIN_S: Final = 180.0
_DAY_S: Final = 86_400.0
_GREETED_PER_S: Final = 20
_ACCOUNTS: Final = (
    Account("asks", "operator", "asking-for-a-benchmark"),
    Account("approves", "approver", "approving-for-a-benchmark"),
)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CommandSite:
    """What runs: whose commands are measured, and the clients of the two people."""

    head_end: HeadEnd
    gateways: tuple[str, ...]
    lan_meter: str
    meters: tuple[str, ...]  # behind gateway after gateway in turn
    asks: Rest
    approves: Rest
    simulator: int  # its process

    def cpu_s(self) -> dict[str, float]:
        """Return what every process has spent of a processor so far, by its name."""
        pids = {name: child.pid for name, child in self.head_end.children.items()}
        return {name: cpu_s(pid) for name, pid in (pids | {"sim": self.simulator}).items()}


@contextmanager
def running(meters: int, gateways: int, say: Say) -> Iterator[CommandSite]:
    """Run so many meters behind so many gateways, and one meter on a line of its own."""
    lines = _LINES_A_GATEWAY * gateways
    settings = fleet.FleetSettings(
        tcp=1, shared=meters, shared_lines=lines, dial_in=0, rs485=0, push=False, replay_s=10
    )
    plan = fleet.plan(settings)
    names = tuple(f"gw-{number + 1}" for number in range(gateways))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        say(f"starting {meters + 1} simulated meters")
        ready = stack.enter_context(serving(settings, folder, history_days=1))
        say("starting broker and head end")
        running_ = stack.enter_context(head_end.running(folder / "site", "duckdb", names))
        behind = _behind(plan, names)
        say(f"entering {meters + 1} meters and starting {gateways} gateways")
        trust = cloud_files.initialise(Settings.load(_toml(running_)))
        _enter(running_, behind)
        _start(running_, "authority", "hesper-cloud", "authority", _toml(running_))
        for name in names:
            config = _configure(running_, name, behind[name], ready["listeners"], trust)
            _start(running_, name, "hesper-gateway", "run", config)
        asks, approves = (Rest(running_.site.url, account) for account in _ACCOUNTS)
        stack.callback(asks.close)
        stack.callback(approves.close)
        _await_first_visits(running_, asks, meters + 1, say)
        shared = tuple(meter.serial for meter in plan.meters[1:])
        yield CommandSite(
            running_, names, plan.meters[0].serial, shared, asks, approves, int(ready["pid"])
        )


def _behind(plan: Fleet, names: tuple[str, ...]) -> dict[str, list[MeterPlan]]:
    """Return each gateway's meters; the lines are dealt out in turn, and so are the meters."""
    lines = [line.name for line in plan.lines]
    owner = {line: names[max(0, place - 1) % len(names)] for place, line in enumerate(lines)}
    behind: dict[str, list[MeterPlan]] = {name: [] for name in names}
    for meter in plan.meters:
        behind[owner[meter.line]].append(meter)
    return behind


def _toml(running_: HeadEnd) -> Path:
    return running_.site.cloud / "cloud.toml"


def _enter(running_: HeadEnd, behind: dict[str, list[MeterPlan]]) -> None:
    databases = Databases.open(Settings.load(_toml(running_)))
    try:
        for account in _ACCOUNTS:
            provision.add_user(
                databases.authority, account.username, account.role, account.password
            )
        policy = POLICIES["demo"].model_copy(update={"gateway_reconnects_per_minute": _AT_WILL})
        document = policy.model_dump(mode="json")
        provision.activate_policy(databases.authority, "benchmark", document)
        for name, meters in behind.items():
            folder = running_.site.gateways / name
            folder.mkdir(mode=0o700)
            signer = Signer.generate()
            signer.save(folder / "gateway.key")
            provision.add_gateway(databases, name, signer.public_key.hex())
            commission(databases, [_paper(name, meter) for meter in meters])
    finally:
        databases.close()


def _paper(gateway: str, meter: MeterPlan) -> MeterPaper:
    return MeterPaper(
        id=meter.serial,
        gateway=gateway,
        logical_device_name=meter.logical_device_name,
        area=f"feeder {meter.feeder}",
    )


def _configure(
    running_: HeadEnd,
    name: str,
    meters: list[MeterPlan],
    listeners: dict[str, str],
    trust: Trust,
) -> Path:
    site = running_.site
    folder = site.gateways / name
    private_file.write(folder / "broker.password", running_.passwords[name])
    document = _document(name, trust, site.ports.broker)
    lines = dict.fromkeys(meter.line for meter in meters)
    document["lines"] = [_line(line, listeners[line]) for line in lines]
    document["meters"] = [
        {
            "id": meter.serial,
            "line": meter.line,
            "template": _TEMPLATE,
            "logical_device_name": meter.logical_device_name,
            "server_address": meter.server_address,
            "system_title": meter.system_title.hex(),
            "keys_file": gateway_files.keys_file(folder, meter),
        }
        for meter in meters
    ]
    (folder / "templates").mkdir()
    (folder / "templates" / f"{_TEMPLATE}.toml").write_text(toml_text.text(_template()))
    path = folder / "gateway.toml"
    path.write_text(toml_text.text(document))
    return path


def _document(name: str, trust: Trust, port: int) -> dict[str, Any]:
    return {
        "gateway": name,
        "state": "state",
        "broker": {
            "host": "127.0.0.1",
            "port": port,
            "username": name,
            "password_file": "broker.password",
        },
        "keys": {
            "signing": "gateway.key",
            "commands": dict([trust.commands]),
            "receipts": dict([trust.receipts]),
        },
        "schedule": {"profile_s": _DAY_S, "snapshot_s": _DAY_S, "events_s": _DAY_S},
    }


def _template() -> dict[str, Any]:
    """Return a kind of meter of which nothing but the relay is read: that is what is measured."""
    logs = ("fraud_log", "disconnector_log", "power_quality_log", "event_log")
    return {
        "extends": "hesper-sim",
        "description": "the simulated meter without profiles and logs",
        "verified": "simulated",
        "objects": dict.fromkeys((*logs, "load_profile"), _NONE),
        "snapshot": {"registers": []},
    }


def _line(name: str, listener: str) -> dict[str, Any]:
    host, _, port = listener.rpartition(":")
    return {"name": name, "kind": "tcp", "host": host, "port": int(port)}


def _start(running_: HeadEnd, name: str, program: str, verb: str, config: Path) -> Child:
    command = (_BIN / program, verb, "-c", config)
    child = Child(name, command, running_.site.logs / f"{name}.log")
    running_.children[name] = child
    child.start()
    return child


def _await_first_visits(running_: HeadEnd, rest: Rest, meters: int, say: Say) -> None:
    """Wait until every meter was greeted once, as a gateway that has started does."""
    told, deadline = 0, time.monotonic() + _UP_WITHIN_S + meters / _GREETED_PER_S
    while (reached := sum(row["meters_reachable"] or 0 for row in rest.get("/gateways"))) < meters:
        for child in running_.children.values():
            child.check()
        if time.monotonic() > deadline:
            raise Died(f"{meters - reached} of {meters} meters were not reached in time")
        if reached - told > meters / 4:
            told = reached
            say(f"{reached} meters greeted")
        time.sleep(1)
