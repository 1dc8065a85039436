"""A small simulated fleet as a process of its own, and `hesper-gateway` as real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PORTS = 11
LIMIT_S = 60


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def free_block() -> int:
    """Return the first of eleven neighbouring ports that are free now, for TCP and UDP."""
    for first in range(33000, 60000, 97):
        with ExitStack() as held, suppress(OSError):
            for port in range(first, first + PORTS):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    held.enter_context(socket.socket(type=kind)).bind(("127.0.0.1", port))
            return first
    pytest.fail("no eleven free ports")


class SimulatedFleet(NamedTuple):
    """What the simulator said about itself, and its test keys."""

    told: dict[str, Any]
    keys: dict[str, Any]

    def meter(self, line: str) -> dict[str, Any]:
        return next(each for each in self.keys["meters"] if each["line"] == line)

    def address(self, line: str) -> tuple[str, int]:
        host, port = self.told["listeners"][line].split(":")
        return host, int(port)

    def secrets(self, line: str, client: int) -> dict[str, str]:
        """Return what a keys file must hold for one client of a line's meter."""
        meter = self.meter(line)
        suite = meter["security_suite"]
        held: dict[str, str] = {"password": meter["password" if client == 2 else "hls_secret"]}
        if client in (1, 5):
            held["encryption_key"] = meter["global_unicast_key"]
            held["authentication_key"] = meter["authentication_key"]
        if client == 7:
            held["signing_key"] = self.keys["head_end"][f"suite_{suite}_signing"]["private_key"]
            held["meter_signing_key"] = meter["signing_public_key"]
        return held


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedFleet]:
    """The simulator's own small fleet."""
    state = str(tmp_path_factory.mktemp("fleet") / "state")
    command = [script("hesper-sim"), "serve", "--state", state, "--json", "--history-days", "1"]
    with subprocess.Popen(
        [*command, "--port", str(free_block())], stdout=subprocess.PIPE, text=True
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
            yield SimulatedFleet(told, json.loads(keys.stdout))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


@pytest.fixture
def gateway() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `hesper-gateway` as a process."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script("hesper-gateway"), *arguments],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, "COLUMNS": "200", "TERM": "dumb"},
        )

    return run
