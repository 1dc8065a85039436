"""A small simulated fleet as a process of its own, and the command as real processes beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from simulated_fleet import LIMIT_S, SimulatedFleet, script, serve


class DeskFleet(SimulatedFleet):
    """The fleet with the options that bring `hesper-dlms` to its meters."""

    def way(self, line: str) -> list[str]:
        """Return the options that reach a line."""
        if line not in self.told["listeners"]:
            return ["--serial", self.told["ports"][line], "--timeout", "2"]
        host, port = self.address(line)
        return ["--host", host, "--port", str(port), "--timeout", "2"]

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
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeskFleet]:
    """The simulator's own small fleet."""
    with serve(DeskFleet, tmp_path_factory.mktemp("fleet")) as served:
        yield served


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
