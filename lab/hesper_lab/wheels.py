"""Which wheels a gateway needs on ARM boards, and whether there are all: nothing is compiled there.

pip resolves the requirements of the base package and the extra ``gateway`` for another machine
than this one, wheels only, and downloads nothing but metadata. On 64-bit ARM all must be there; on
32-bit ARM (armv7) each requirement with its own needs is asked for alone, and what is missing told.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PYTHONS: Final = ("3.11", "3.13")
"""Of Raspberry Pi OS and Debian 12 and 13."""
ARM64: Final = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")
ARMV7: Final = ("manylinux2014_armv7l", "manylinux_2_31_armv7l")
_TIMEOUT_S: Final = 120


class Unresolved(Exception):
    """No set of wheels satisfies the requirements; the text is pip's."""


@dataclass(frozen=True, slots=True)
class Wheels:
    """What was found for one machine and Python; ``missing`` names what has no wheel there."""

    machine: str
    python: str
    files: tuple[str, ...]
    missing: tuple[str, ...] = ()


def requirements() -> list[str]:
    """Return what ``hesper[gateway]`` requires, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: list[str] = project["dependencies"] + project["optional-dependencies"]["gateway"]
    return found


def resolve(platforms: tuple[str, ...], python: str, wanted: list[str]) -> tuple[str, ...]:
    """Return the file names of the wheels that satisfy the requirements.

    Raises:
        Unresolved: not all of them have wheels, or the package index cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet"]
        command += ["--ignore-installed", "--only-binary=:all:", "--python-version", python]
        command += ["--target", folder, "--report", str(report)]
        for platform in platforms:
            command += ["--platform", platform]
        ended = subprocess.run(
            [*command, *wanted], check=False, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
        if ended.returncode:
            raise Unresolved(ended.stderr.strip())
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    return tuple(item["download_info"]["url"].rpartition("/")[2] for item in items)


def on_arm64(python: str) -> Wheels:
    """Return the wheels of a 64-bit board.

    Raises:
        Unresolved: something would have to be compiled.
    """
    return Wheels("aarch64", python, resolve(ARM64, python, requirements()))


def on_armv7(python: str) -> Wheels:
    """Return the wheels of a 32-bit board and the requirements that have none."""
    files: dict[str, None] = {}
    missing = []
    for each in requirements():
        try:
            files.update(dict.fromkeys(resolve(ARMV7, python, [each])))
        except Unresolved:
            missing.append(each)
    return Wheels("armv7l", python, tuple(files), tuple(missing))


def told() -> str:
    """Return what was found, a line for each machine and Python."""
    lines = []
    for found in (*map(on_arm64, PYTHONS), on_armv7(PYTHONS[0])):
        lacks = f"; no wheel for: {', '.join(found.missing)}" if found.missing else ""
        count = len(found.files)
        lines.append(f"{found.machine}, Python {found.python}: {count} wheels{lacks}")
    return "\n".join(lines)
