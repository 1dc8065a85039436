"""A gateway's folder with simulated meters: processes in it, and what gateway.toml says of them.

Test modules of this folder put it on the import path, for test folders are no packages.
"""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


@dataclass
class SimulatedSite:
    """A folder, and our commands as processes that log into it."""

    folder: Path
    running: list["subprocess.Popen[str]"] = field(default_factory=list, kw_only=True)

    def start(self, *command: object) -> "subprocess.Popen[str]":
        """Start one of our commands; its stdout is a pipe."""
        words = [str(BIN / str(command[0])), *map(str, command[1:])]
        with (self.folder / f"{command[0]}.log").open("a") as log:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log, text=True)
        self.running.append(process)
        return process

    def ended(self, *command: object) -> "subprocess.CompletedProcess[str]":
        """Run one of our commands to its end, however it ends."""
        words = [str(BIN / str(command[0])), *map(str, command[1:])]
        return subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)

    def stop(self) -> None:
        """Kill what runs."""
        for process in self.running:
            process.kill()
            process.communicate()

    def meter_table(self, meter: dict[str, Any]) -> dict[str, object]:
        """Return a planned meter as a table of gateway.toml; writes its keys file."""
        table = {
            "id": meter["serial"],
            "line": meter["line"],
            "template": "hesper-sim-hdlc" if meter["access"] == "rs485" else "hesper-sim",
            "logical_device_name": meter["logical_device_name"],
            "server_address": meter["server_address"],
            "physical_address": meter["physical_address"],
            "system_title": meter["system_title"],
            "keys_file": self._keys_file(meter),
        }
        return {name: value for name, value in table.items() if value is not None}

    def _keys_file(self, meter: dict[str, Any]) -> str:
        path = self.folder / f"{meter['serial']}.json"
        path.touch(mode=0o600)
        names = ("encryption_key", "authentication_key", "password")
        path.write_text(json.dumps({name: meter[name] for name in names}))
        return path.name


def line_text(line: dict[str, Any], ready: dict[str, Any]) -> str:
    """Return a planned line's table; `ready` is what the simulator said when it served."""
    text = f'[[lines]]\nname = "{line["name"]}"\n'
    if line["access"] == "rs485":
        return text + f'kind = "serial"\npath = "{Path(ready["ports"]["rs485"]).absolute()}"\n'
    if line["access"] == "dial-in":
        return text + f'kind = "dial-in"\nport = {line["port"]}\n'
    host, port = ready["listeners"][line["name"]].split(":")
    return text + f'kind = "tcp"\nhost = "{host}"\nport = {port}\n'


def meter_text(table: dict[str, object]) -> str:
    """Return a meter's table as text."""
    told = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    return "[[meters]]\n" + "\n".join(told) + "\n"
