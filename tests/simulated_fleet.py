"""The simulator's own small fleet as a process, for tests that run commands beside it.

The folders that use it put `tests` on the import path, for test folders are no packages.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hesper_lab.ports import free_ports

PORTS = 11
LIMIT_S = 60


@dataclass(frozen=True)
class SimulatedFleet:
    """What the simulator said about itself, and its test keys."""

    told: dict[str, Any]
    keys: dict[str, Any]
    folder: Path

    def meter(self, line: str, place: int = 0) -> dict[str, Any]:
        """Return a meter of a line with its keys."""
        found = [each for each in self.keys["meters"] if each["line"] == line]
        meter: dict[str, Any] = found[place]
        return meter

    def address(self, line: str) -> tuple[str, int]:
        """Return where a line listens: host and port."""
        host, port = self.told["listeners"][line].split(":")
        return host, int(port)


F = TypeVar("F", bound=SimulatedFleet)


def script(name: str) -> str:
    """Return the path of one of our commands."""
    return str(Path(sys.executable).with_name(name))


@contextmanager
def serve(kind: type[F], folder: Path, *options: str) -> Iterator[F]:
    """Run the fleet with its state in a folder; `options` go to `hesper-sim serve`."""
    state = str(folder / "state")
    command = [script("hesper-sim"), "serve", "--state", state, "--json", *options]
    with subprocess.Popen(
        [*command, "--port", str(free_ports(PORTS)[0])], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            keys = subprocess.run(
                [script("hesper-sim"), "keys", "--state", state, "--json"],
                capture_output=True,
                check=True,
                timeout=LIMIT_S,
            )
            yield kind(told, json.loads(keys.stdout), folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)
