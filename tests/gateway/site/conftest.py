"""An installer's table: three simulated meters on three kinds of line, and a gateway.toml."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts.signing import Signer
from hesper_lab.ports import free_port

sys.path.insert(0, str(Path(__file__).parents[1]))
from simulated_site import SimulatedSite, line_text, meter_text

FLEET = (
    "seed = 5\ntcp = 1\nshared = 0\ndial_in = 1\nrs485 = 1\ndial_in_port = {port}\npush = false\n"
)


@dataclass
class Table(SimulatedSite):
    """The meters run; tests change what gateway.toml says of them and run the command line."""

    broker_port: int = field(default_factory=free_port)
    meters: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind of line."""
    line_texts: str = ""

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
            self.line_texts += line_text(line, ready)
        self.write()

    def write(self, without: str = "", **changes: object) -> Path:
        """Write gateway.toml; ``changes`` go into every meter, ``without`` is left out of them."""
        text = 'gateway = "gw-site"\nstate = "state"\n'
        text += f'[broker]\nhost = "127.0.0.1"\nport = {self.broker_port}\n' + self.line_texts
        for meter in self.meters.values():
            table = self.meter_table(meter) | changes
            table.pop(without, None)
            text += meter_text(table)
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


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path)
    yield table
    table.stop()
