"""What the guard tests know of the house: its root, its programs, the wheel that is built of it."""

import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Wheel:
    """A built wheel and the names of the files in it."""

    path: Path
    names: frozenset[str]


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the console scripts under test."""
    return BIN


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    """The whole of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def packages(project: dict[str, Any]) -> list[Path]:
    """The import packages that the wheel is told to hold, relative to the root."""
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    return [Path(package) for package in wheel["packages"]]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """The wheel of the working folder, built by hatchling without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return Wheel(path, frozenset(archive.namelist()))
