"""A head end with broker, meters and gateways that enrol, each a process as its user starts it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hesper_cloud.authority.broker_accounts import password_hash
from hesper_lab.ports import answers, free_port
from hesper_lab.rest import Rest
from hesper_lab.site import ROOT, Account
from hesper_sim import ledger
from patience import PATIENCE_S, eventually

BIN = Path(sys.executable).parent
LOAD_PROFILE = "1.0.99.1.0.255"
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
BY_PASSWORD = 'password_file = "broker.password"\n'
TOML = """\
gateway = "{gateway}"
[broker]
host = "127.0.0.1"
port = {port}
username = "{gateway}"
{way}[keys]
commands = {{ {commands} }}
receipts = {{ {receipts} }}
[schedule]
profile_s = 1
jitter_s = 0
back_off_s = 0.5
back_off_max_s = 1
"""


class Town:
    """A head end with its broker, two meters, and as many devices as somebody enrols."""

    def __init__(
        self, folder: Path, make_broker: Callable[..., Any], listener: str = "", settings: str = ""
    ) -> None:
        self.folder, self.web_port = folder, free_port()
        self.processes: list[subprocess.Popen[str]] = []
        self.rest: Rest | None = None
        (folder / "acl").write_text((ROOT / "mosquitto/acl").read_text())
        accounts = {"hes.ingest": "ingest", "hes.authority": "authority"}
        lines = [f"{name}:{password_hash(password)}\n" for name, password in accounts.items()]
        (folder / "passwords").write_text("".join(lines))
        for password in accounts.values():
            (folder / f"{password}.password").write_text(password)
        self.make_broker, self.listener, self.settings = make_broker, listener, settings
        self.url = f"http://127.0.0.1:{self.web_port}"

    def start_broker(self) -> None:
        """Starts it, and tells the head end where it is."""
        folder = self.folder
        self.broker = self.make_broker(BROKER.format(folder=folder) + self.listener)
        (folder / "cloud.toml").write_text(
            CLOUD.format(
                broker=self.broker.port,
                web=self.web_port,
                passwords=folder / "passwords",
                pid=self.broker._process.pid,
            )
            + self.settings
        )

    def run(self, *words: object, text: str = "", fails: bool = False) -> str:
        command = [str(BIN / str(words[0])), *map(str, words[1:])]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=PATIENCE_S
        )
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout

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
        eventually(lambda: answers(f"{self.url}/health"), "the head end comes up")
        self.rest = Rest(self.url, ANN)

    def keep(self, gateway: str, way: str = BY_PASSWORD, port: int = 0, meters: int = 2) -> Path:
        """Lets the head end keep what an installer wrote for a gateway; returns his folder."""
        desk = self.folder / f"desk-{gateway}"
        desk.mkdir()
        shown = {
            which: self.tell("key", "show", which).split() for which in ("commands", "receipts")
        }
        keys = {which: f'{name} = "{key}"' for which, (name, key) in shown.items()}
        text = TOML.format(gateway=gateway, port=port or self.broker.port, way=way, **keys)
        for meter in self.meters[:meters]:
            host, line_port = self.listeners[meter["line"]].split(":")
            text += f'[[lines]]\nname = "{meter["line"]}"\nkind = "tcp"\n'
            text += f'host = "{host}"\nport = {line_port}\n'
            text += f'[[meters]]\nid = "{meter["serial"]}"\nline = "{meter["line"]}"\n'
            text += f'template = "hesper-sim"\nserver_address = {meter["server_address"]}\n'
            text += f'system_title = "{meter["system_title"]}"\n'
            text += f'logical_device_name = "{meter["logical_device_name"]}"\n'
            text += f'keys_file = "{meter["serial"]}.json"\n'
            names = ("encryption_key", "authentication_key", "password")
            secrets = json.dumps({name: meter[name] for name in names})
            (desk / f"{meter['serial']}.json").write_text(secrets)
        (desk / "gateway.toml").write_text(text)
        return desk

    def enrol(self, gateway: str, name: str, *more: str) -> tuple[Path, str]:
        """Enrols a device with a fresh token; returns its folder and what it was told."""
        token = self.tell("gateway", "token", gateway).strip()
        return self.enrol_with(token, name, *more)

    def enrol_with(
        self, token: str, name: str, *more: str, fails: bool = False
    ) -> tuple[Path, str]:
        """Enrols a device; returns its folder and what it was told, of a failure the reason."""
        folder = self.folder / name
        told = self.run(
            "hesper-gateway", "enroll", "--head-end", self.url, "--token", "-", "--folder", folder,
            *more, text=token, fails=fails,
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
