"""A small simulated fleet as a process of its own, and the command as real processes beside it."""

from __future__ import annotations

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
    for first in range(21000, 60000, 97):
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
    folder: Path

    def meter(self, line: str, place: int = 0) -> dict[str, Any]:
        """Return a meter of a line with its keys."""
        found = [each for each in self.keys["meters"] if each["line"] == line]
        meter: dict[str, Any] = found[place]
        return meter

    def way(self, line: str) -> list[str]:
        """Return the options that reach a line."""
        reach = self.told["listeners"].get(line)
        if reach is None:
            return ["--serial", self.told["ports"][line], "--timeout", "2"]
        host, port = reach.split(":")
        return ["--host", host, "--port", port, "--timeout", "2"]

    def keys_file(self, meter: dict[str, Any], hls: bool = False) -> list[str]:
        """Return the options that bring a meter's secrets, from a file."""
        entries = {
            "password": meter["hls_secret" if hls else "password"],
            "encryption_key": meter["global_unicast_key"],
            "authentication_key": meter["authentication_key"],
            "master_key": meter["master_key"],
        }
        suite = meter["security_suite"]
        if suite:
            head_end = self.keys["head_end"]
            entries["signing_key"] = head_end[f"suite_{suite}_signing"]["private_key"]
            entries["agreement_key"] = head_end[f"suite_{suite}_agreement"]["private_key"]
            entries["meter_signing_key"] = meter["signing_public_key"]
            entries["meter_agreement_key"] = meter["agreement_public_key"]
        file = self.folder / f"{meter['serial']}-{hls}.json"
        file.write_text(json.dumps(entries))
        title = self.keys["head_end"]["system_title"]
        return ["--keys-file", str(file), "--suite", str(suite), "--system-title", title]

    def management(self, meter: dict[str, Any]) -> list[str]:
        """Return the options of its management client."""
        return ["--client", "1", "--authentication", "gmac", *self.keys_file(meter)]


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedFleet]:
    """The simulator's own small fleet."""
    folder = tmp_path_factory.mktemp("fleet")
    command = [script("hesper-sim"), "serve", "--state", str(folder / "state"), "--json"]
    with subprocess.Popen(
        [*command, "--port", str(free_block())], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            keys = subprocess.run(
                [script("hesper-sim"), "keys", "--state", str(folder / "state"), "--json"],
                capture_output=True,
                check=True,
                timeout=LIMIT_S,
            )
            yield SimulatedFleet(told, json.loads(keys.stdout), folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `hesper-dlms` as a process: `command(*arguments, stdin="", **environment)`."""

    def run(
        *arguments: str, stdin: str | bytes = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        given = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run(
            [script("hesper-dlms"), *arguments],
            input=given,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **environment},
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run
