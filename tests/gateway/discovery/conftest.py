"""A line with several simulated meters, and the command line that looks for them."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from simulated_site import SimulatedSite

FLEET = (
    "seed = 5\ntcp = 1\nshared = 2\ndial_in = 0\nrs485 = 3\nhdlc_tcp = 1\noptical = 1\n"
    "push = false\n"
)
HEAD = 'gateway = "gw-site"\nstate = "state"\n[broker]\nhost = "127.0.0.1"\n'


@dataclass
class Town(SimulatedSite):
    """Meters that gateway.toml does not know yet, behind lines that it knows."""

    planned: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        fleet = self.folder / "fleet.toml"
        fleet.write_text(FLEET)
        plan = json.loads(self.ended("hesper-sim", "plan", "--fleet", fleet, "--json").stdout)
        self.planned = plan["meters"]
        serving = self.start(
            "hesper-sim", "serve", "--json", "--fleet", fleet, "--state", self.folder / "meters",
            "--history-days", 1,
        )  # fmt: skip
        assert serving.stdout is not None
        ready = json.loads(serving.stdout.readline())
        lines = ""
        for name, address in ready["listeners"].items():
            host, port = address.split(":")
            lines += f'[[lines]]\nname = "{name}"\nkind = "tcp"\nhost = "{host}"\nport = {port}\n'
        for name, path in ready["ports"].items():
            mode_e = "optical" in name
            place = Path(path).absolute()
            lines += f'[[lines]]\nname = "{name}"\nkind = "serial"\npath = "{place}"\n'
            lines += f"mode_e = {json.dumps(mode_e)}\n"
        lines += '[[lines]]\nname = "cell"\nkind = "dial-in"\nport = 4059\n'
        self.path.write_text(HEAD + lines)

    @property
    def path(self) -> Path:
        return self.folder / "gateway.toml"

    def meters(self, access: str) -> list[dict[str, Any]]:
        return [meter for meter in self.planned if meter["access"] == access]

    def discover(self, *options: object) -> tuple[int, str, str]:
        ended = self.ended("hesper-gateway", "discover", "-c", self.path, *options)
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town"))
    yield town
    town.stop()
