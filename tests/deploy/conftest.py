"""A prepared site: what `deploy/prepare --local` makes in a folder of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the console scripts under test."""
    return BIN


@pytest.fixture(scope="module")
def prepare() -> Callable[[Path, str], "subprocess.CompletedProcess[str]"]:
    """Run `deploy/prepare --local` for a site folder and a gateway name."""
    if not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto_passwd is not installed")

    def run(site: Path, gateway: str) -> "subprocess.CompletedProcess[str]":
        search = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [ROOT / "deploy/prepare", "--local", gateway],
            env={**os.environ, "PATH": search, "HESPER_SITE": str(site)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def site(prepare, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site prepared for the gateway `gw-1`, shared by a module."""
    folder: Path = tmp_path_factory.mktemp("site") / "site"
    ended = prepare(folder, "gw-1")
    assert ended.returncode == 0, ended.stderr
    return folder
