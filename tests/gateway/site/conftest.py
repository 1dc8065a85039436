"""An installer's table: three simulated meters on three kinds of line, and a gateway.toml."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts.signing import Signer

BIN = Path(sys.executable).parent
FLEET = (
    "seed = 5\ntcp = 1\nshared = 0\ndial_in = 1\nrs485 = 1\ndial_in_port = {port}\npush = false\n"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Table:
    """The meters run; tests change what gateway.toml says of them and run the command line."""

    folder: Path
    broker_port: int = field(default_factory=free_port)
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind of line."""
    line_texts: str = ""
    running: list["subprocess.Popen[str]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        Signer.generate().save(self.folder / "gateway.key")
        fleet = self.folder / "fleet.toml"
        fleet.write_text(FLEET.format(port=free_port()))
        planned = json.loads(self.ended("hesper-sim", "plan", "--fleet", fleet, "--json").stdout)
        self.meters = {meter["access"]: meter for meter in planned["meters"]}
        serving = self.start(
            "hesper-sim", "serve", "--json", "--fleet", fleet, "--state", self.folder / "meters",
            "--history-days", 1,
        )  # fmt: skip
        assert serving.stdout is not None
        ready = json.loads(serving.stdout.readline())
        for line in planned["lines"]:
            self.line_texts += f'[[lines]]\nname = "{line["name"]}"\n' + _line(line, ready)
        self.write()

    def write(self, without: str = "", **changes: object) -> Path:
        """Write gateway.toml; ``changes`` go into every meter, ``without`` is left out of them."""
        text = 'gateway = "gw-site"\nstate = "state"\n'
        text += f'[broker]\nhost = "127.0.0.1"\nport = {self.broker_port}\n' + self.line_texts
        for meter in self.meters.values():
            table = _meter(meter, self._keys_file(meter)) | changes
            table.pop(without, None)
            told = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
            text += "[[meters]]\n" + "\n".join(told) + "\n"
        path = self.folder / "gateway.toml"
        path.write_text(text)
        return path

    def commission(self, access: str, *options: object) -> tuple[int, dict[str, dict[str, str]]]:
        """Walk one meter; return the exit code and the steps by hop."""
        serial = self.meters[access]["serial"]
        ended = self.ended(
            "hesper-gateway", "commission", serial, "-c", self.folder / "gateway.toml", "--json",
            *options,
        )  # fmt: skip
        assert "Traceback" not in ended.stderr, ended.stderr
        found = json.loads(ended.stdout)
        return ended.returncode, {step["hop"]: step for step in found["steps"]}

    def start(self, *command: object) -> "subprocess.Popen[str]":
        words = [str(BIN / str(command[0])), *map(str, command[1:])]
        with (self.folder / f"{command[0]}.log").open("a") as log:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        self.running.append(process)
        return process

    def ended(self, *command: object) -> "subprocess.CompletedProcess[str]":
        words = [str(BIN / str(command[0])), *map(str, command[1:])]
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()

    def _keys_file(self, meter: dict[str, Any]) -> str:
        path = self.folder / f"{meter['serial']}.json"
        path.touch(mode=0o600)
        names = ("encryption_key", "authentication_key", "password")
        path.write_text(json.dumps({name: meter[name] for name in names}))
        return path.name


def _line(line: dict[str, Any], ready: dict[str, Any]) -> str:
    if line["access"] == "rs485":
        return f'kind = "serial"\npath = "{Path(ready["ports"]["rs485"]).absolute()}"\n'
    if line["access"] == "dial-in":
        return f'kind = "dial-in"\nport = {line["port"]}\n'
    host, port = ready["listeners"][line["name"]].split(":")
    return f'kind = "tcp"\nhost = "{host}"\nport = {port}\n'


def _meter(meter: dict[str, Any], keys_file: str) -> dict[str, object]:
    table = {
        "id": meter["serial"],
        "line": meter["line"],
        "template": "hesper-sim-hdlc" if meter["access"] == "rs485" else "hesper-sim",
        "logical_device_name": meter["logical_device_name"],
        "server_address": meter["server_address"],
        "physical_address": meter["physical_address"],
        "system_title": meter["system_title"],
        "keys_file": keys_file,
    }
    return {name: value for name, value in table.items() if value is not None}


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path)
    yield table
    table.stop()
