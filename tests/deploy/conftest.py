"""A prepared site: what `deploy/prepare --local` makes in a folder of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hesper_lab.ports import free_port

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


_WALL = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
"""For sh: runs a program where a folder can be read alone, as units and containers have it."""


@pytest.fixture(scope="session")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[str]]:
    """Words before a command that keep it from writing into a folder, where the machine can."""
    unshare = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]

    def before(folder: Path) -> list[str]:
        return [*unshare, "sh", "-c", _WALL, str(folder)]

    trial = [*before(tmp_path_factory.mktemp("walled")), "true"]
    try:
        subprocess.run(trial, capture_output=True, check=True, text=True)
    except FileNotFoundError as error:
        pytest.skip(f"no file systems of one's own here: {error}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no file systems of one's own here: {error.stderr.strip()}")
    return before


class Ports(NamedTuple):
    """Where the prepared site listens."""

    broker: int
    secure: int
    web: int


@pytest.fixture(scope="module")
def ports() -> Ports:
    """Free ports for a module's site."""
    return Ports(*(free_port() for _ in range(3)))


@pytest.fixture(scope="module")
def prepare(ports: Ports) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `deploy/prepare --local` for a site and a gateway; programs in `first` come first."""
    if not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto_passwd is not installed")

    def run(site: Path, gateway: str, first: Path = BIN) -> "subprocess.CompletedProcess[str]":
        search = os.pathsep.join((str(first), str(BIN), os.environ["PATH"]))
        return subprocess.run(
            [ROOT / "deploy/prepare", "--local", gateway],
            env={
                **os.environ,
                "PATH": search,
                "HESPER_SITE": str(site),
                "HESPER_BROKER_PORT": str(ports.broker),
                "HESPER_BROKER_TLS_PORT": str(ports.secure),
                "HESPER_WEB_PORT": str(ports.web),
            },
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
