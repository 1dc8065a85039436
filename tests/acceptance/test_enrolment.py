"""A dead gateway is replaced over the network: real broker, head end, meters and agents.

Every process is started as its user starts it. From the moment the first device dies, all meters
hang up on any counter that they have seen before, so that one reused counter would stop them.
"""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_cloud.authority.broker_accounts import password_hash
from hesper_gateway.counters import RESERVED_AHEAD, SKIPPED_AFTER_LOSS
from hesper_lab.reconcile import reconcile
from hesper_lab.rest import Rest
from hesper_lab.site import ROOT, Account
from hesper_sim import ledger

pytestmark = pytest.mark.integration
BIN = Path(sys.executable).parent
GATEWAY = "gw-7"
LOAD_PROFILE = "1.0.99.1.0.255"
PATIENCE_S, POLL_S = 60.0, 0.05
ANN = Account("ann", "operator", "asking-politely-1")
FLEET = "seed = 7\ntcp = 2\nshared = 0\ndial_in = 0\nrs485 = 0\npush = false\n"
BROKER = """\
listener {{port}} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl
"""
CLOUD = """\
state = "state"
[broker]
port = {broker}
[broker.ingest]
username = "hes.ingest"
password_file = "ingest.password"
[broker.authority]
username = "hes.authority"
password_file = "authority.password"
[web]
port = {web}
[enrolment]
password_file = "{passwords}"
reload = ["kill", "-HUP", "{pid}"]
"""
TOML = """\
gateway = "gw-7"
[broker]
host = "127.0.0.1"
port = {port}
username = "gw-7"
password_file = "broker.password"
[keys]
commands = {{ {commands} }}
receipts = {{ {receipts} }}
[schedule]
profile_s = 1
jitter_s = 0
back_off_s = 0.5
back_off_max_s = 1
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(POLL_S)
    return found


class Town:
    """A head end with its broker, two meters, and as many devices as somebody enrols."""

    def __init__(self, folder: Path, make_broker: Callable[..., Any]) -> None:
        self.folder, self.web_port = folder, free_port()
        self.processes: list[subprocess.Popen[str]] = []
        self.rest: Rest | None = None
        (folder / "acl").write_text((ROOT / "mosquitto/acl").read_text())
        accounts = {"hes.ingest": "ingest", "hes.authority": "authority"}
        lines = [f"{name}:{password_hash(password)}\n" for name, password in accounts.items()]
        (folder / "passwords").write_text("".join(lines))
        for password in accounts.values():
            (folder / f"{password}.password").write_text(password)
        self.broker = make_broker(BROKER.format(folder=folder))
        (folder / "cloud.toml").write_text(
            CLOUD.format(
                broker=self.broker.port,
                web=self.web_port,
                passwords=folder / "passwords",
                pid=self.broker._process.pid,
            )
        )
        self.url = f"http://127.0.0.1:{self.web_port}"

    def run(self, *words: object, text: str = "") -> str:
        command = [str(BIN / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tell(self, *words: str, text: str = "") -> str:
        return self.run("hesper-cloud", *words, "-c", self.folder / "cloud.toml", text=text)

    def start(self, log: Path, *words: object) -> "subprocess.Popen[str]":
        command = [str(BIN / str(words[0])), *map(str, words[1:])]
        with log.open("a") as file:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        self.processes.append(process)
        return process

    def start_meters(self) -> None:
        self.sim = self.folder / "sim"
        fleet = self.folder / "fleet.toml"
        fleet.write_text(FLEET)
        plan = json.loads(self.run("hesper-sim", "plan", "--fleet", fleet, "--json"))
        self.meters = plan["meters"]
        serving = self.start(
            self.folder / "sim.log", "hesper-sim", "serve", "--json", "--fleet", fleet,
            "--state", self.sim, "--history-days", 0, "--capture-period", 2,
        )  # fmt: skip
        assert serving.stdout is not None
        self.listeners = json.loads(serving.stdout.readline())["listeners"]

    def start_head_end(self) -> None:
        self.tell("init", "--policy", "demo")
        self.tell("user", "add", ANN.username, "--role", ANN.role, "--password-file", "-",
                  text=ANN.password)  # fmt: skip
        for role in ("authority", "run"):
            self.start(self.folder / f"{role}.log", "hesper-cloud", role, "-c",
                       self.folder / "cloud.toml")  # fmt: skip
        eventually(self._is_up, "the head end comes up")
        self.rest = Rest(self.url, ANN)

    def _is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def keep(self) -> None:
        """Lets the head end keep what an installer wrote for this gateway."""
        desk = self.folder / "desk"
        desk.mkdir()
        shown = {
            which: self.tell("key", "show", which).split() for which in ("commands", "receipts")
        }
        keys = {which: f'{name} = "{key}"' for which, (name, key) in shown.items()}
        text = TOML.format(port=self.broker.port, **keys)
        for meter in self.meters:
            host, port = self.listeners[meter["line"]].split(":")
            text += f'[[lines]]\nname = "{meter["line"]}"\nkind = "tcp"\n'
            text += f'host = "{host}"\nport = {port}\n'
            text += f'[[meters]]\nid = "{meter["serial"]}"\nline = "{meter["line"]}"\n'
            text += f'template = "hesper-sim"\nserver_address = {meter["server_address"]}\n'
            text += f'system_title = "{meter["system_title"]}"\n'
            text += f'logical_device_name = "{meter["logical_device_name"]}"\n'
            text += f'keys_file = "{meter["serial"]}.json"\n'
            names = ("encryption_key", "authentication_key", "password")
            secrets = json.dumps({name: meter[name] for name in names})
            (desk / f"{meter['serial']}.json").write_text(secrets)
        (desk / "gateway.toml").write_text(text)
        self.tell("gateway", "keep", GATEWAY, str(desk / "gateway.toml"))

    def enrol(self, name: str) -> tuple[Path, str]:
        """Enrols a fresh device; returns its folder and what it was told."""
        token = self.tell("gateway", "token", GATEWAY).strip()
        folder = self.folder / name
        told = self.run(
            "hesper-gateway", "enroll", "--head-end", self.url, "--token", "-", "--folder", folder,
            text=token,
        )  # fmt: skip
        return folder, told

    def agent(self, folder: Path) -> "subprocess.Popen[str]":
        log = folder / "log"
        return self.start(log, "hesper-gateway", "run", "-c", folder / "gateway.toml")

    def latched(self) -> set[tuple[str, int]]:
        records = ledger.records(self.sim, "latch")
        return {(r["meter"], r["captured_at"]) for r in records if r["profile"] == LOAD_PROFILE}

    def stored(self) -> set[tuple[str, int]]:
        assert self.rest is not None
        rows = self.rest.export()
        return {(row.meter, row.captured_at) for row in rows if row.profile == LOAD_PROFILE}

    def wait_until_all_is_stored(self) -> None:
        wanted = self.latched()
        eventually(lambda: wanted <= self.stored(), "what was latched is stored")

    def stop(self) -> None:
        if self.rest is not None:
            self.rest.close()
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def town(tmp_path: Path, broker_factory: Callable[..., Any]) -> Iterator[Town]:
    town = Town(tmp_path, broker_factory)
    yield town
    town.stop()


def limits(folder: Path) -> dict[tuple[str, str], int]:
    """What a device's database has reserved of each key's counters."""
    with sqlite3.connect(folder / "state" / "gateway.db") as database:
        rows = database.execute("SELECT meter, key_name, reserved FROM counters").fetchall()
    database.close()
    return {(meter, key): reserved for meter, key, reserved in rows}


def taken_off_the_lines(folder: Path) -> Path:
    """Leads an old device's lines to where no meter is: keys it has, and meters hear anybody."""
    path = folder / "gateway.toml"
    text = path.read_text()
    path.write_text(re.sub(r'(kind = "tcp"\nhost = .*\nport = )\d+', rf"\g<1>{free_port()}", text))
    return folder


def test_a_dead_device_is_replaced_and_shut_out(town: Town) -> None:
    town.start_meters()
    town.start_head_end()
    town.keep()
    first, told = town.enrol("first")
    assert "takes the place" not in told
    dying = town.agent(first)
    eventually(lambda: len({meter for meter, _ in town.stored()}) == 2, "both meters are stored")
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    for meter in town.meters:
        town.run("hesper-sim", "fault", meter["serial"], "counter_hang_up", "--state", town.sim,
                 "--seconds", 600)  # fmt: skip

    before = limits(first)

    second, told = town.enrol("second")
    assert "takes the place of another" in told
    assert (first / "gateway.key").read_text() != (second / "gateway.key").read_text()
    replacing = town.agent(second)
    town.wait_until_all_is_stored()

    returned = town.agent(taken_off_the_lines(first))
    eventually(lambda: "ot authorized" in (first / "log").read_text(), "the old one is refused")
    returned.kill()
    returned.wait()
    town.wait_until_all_is_stored()
    replacing.terminate()
    replacing.wait()

    until = max(at for _, at in town.stored()) - 2
    latched = [r for r in ledger.records(town.sim, "latch") if r["captured_at"] <= until]
    assert town.rest is not None
    account = reconcile(latched, [], town.rest.export())
    assert (account.lost, account.duplicated, account.altered) == (0, 0, 0), account.examples
    after = limits(second)
    assert before.keys() == after.keys()
    assert all(after[key] - RESERVED_AHEAD >= SKIPPED_AFTER_LOSS > before[key] for key in before)
    assert "gone" not in (second / "log").read_text()
    assert town.tell("audit", "verify").startswith("intact")
