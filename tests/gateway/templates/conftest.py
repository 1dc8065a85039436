"""A small simulated fleet as a process of its own, and `hesper-gateway` as real processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from simulated_fleet import LIMIT_S, SimulatedFleet, script, serve


class FleetToLearn(SimulatedFleet):
    """The fleet, and what keys files must hold to learn a meter of it."""

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
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetToLearn]:
    """The simulator's own small fleet, with the load profile of a day."""
    folder = tmp_path_factory.mktemp("fleet")
    with serve(FleetToLearn, folder, "--history-days", "1") as served:
        yield served


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
