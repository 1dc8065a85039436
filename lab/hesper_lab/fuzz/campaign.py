"""One target fuzzed for some minutes: seeds out, atheris in a process of its own, finds in.

Without atheris (it has wheels for Linux on x86-64 alone) the corpus is replayed instead, and the
result says so.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hesper_lab.fuzz import corpus, reach
from hesper_lab.fuzz.registry import TARGETS

_GRACE_S: Final = 120
_LONGEST_RUN_S: Final = 10
_EXECUTIONS: Final = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_FALLEN: Final = ("crash-", "timeout-", "oom-")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a campaign did: runs, time, inputs kept, and what fell (each in hex, with its error)."""

    target: str
    engine: str
    seconds: int
    executions: int
    inputs: int
    fallen: list[str]
    error: str

    def to_json(self) -> dict[str, object]:
        """Return plain JSON."""
        return asdict(self)


def run(name: str, minutes: float, kept: Path = corpus.FOLDER) -> Outcome:
    """Fuzz one target and keep the inputs that reach new code in the folder `kept`."""
    if importlib.util.find_spec("atheris") is None:
        return _replay(name, kept)
    with tempfile.TemporaryDirectory() as folder:
        return _fuzz(name, minutes, kept, Path(folder))


def _replay(name: str, kept: Path) -> Outcome:
    """Run every input of the corpus once; what falls raises."""
    inputs = corpus.load(name, kept)
    begin = time.monotonic()
    for octets in inputs:
        TARGETS[name](octets)
    seconds = round(time.monotonic() - begin)
    return Outcome(name, "replay", seconds, len(inputs), len(inputs), [], "")


def _fuzz(name: str, minutes: float, kept: Path, folder: Path) -> Outcome:
    found, finds = folder / "inputs", folder / "finds"
    found.mkdir()
    finds.mkdir()
    for number, octets in enumerate(corpus.load(name, kept)):
        (found / f"seed-{number}").write_bytes(octets)
    begin = time.monotonic()
    ended = _atheris(name, round(minutes * 60), found, finds)
    seconds = round(time.monotonic() - begin)
    fallen = [
        each.read_bytes().hex() for each in sorted(finds.iterdir()) if each.name.startswith(_FALLEN)
    ]
    inputs = _keep(name, found, kept) if not fallen else len(corpus.load(name, kept))
    counted = _EXECUTIONS.search(ended)
    runs = int(counted[1]) if counted else 0
    return Outcome(name, "atheris", seconds, runs, inputs, fallen, _last_error(ended, fallen))


def _atheris(name: str, seconds: int, inputs: Path, finds: Path) -> str:
    """Run the worker; one folder gives and takes inputs, the other takes what falls."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "hesper_lab.fuzz.worker",
            name,
            f"-max_total_time={seconds}",
            "-print_final_stats=1",
            f"-max_len={corpus.LARGEST_INPUT}",
            f"-timeout={_LONGEST_RUN_S}",
            f"-artifact_prefix={finds}/",
            str(inputs),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + _GRACE_S,
        check=False,
    )
    return done.stdout + done.stderr


def _keep(name: str, found: Path, kept: Path) -> int:
    """Keep the corpus and what reaches code that it does not reach; return how many there are."""
    known = corpus.load(name, kept)
    new = sorted((each.read_bytes() for each in found.iterdir()), key=len)
    return corpus.save(name, reach.fewest(TARGETS[name], [*known, *new]), kept)


def _last_error(output: str, fallen: list[str]) -> str:
    if not fallen:
        return ""
    lines = [line.strip() for line in output.splitlines()]
    errors = [line for line in lines if re.match(r"^[\w.]*(Error|Exception|Broken)\b", line)]
    return errors[-1] if errors else "time or memory"
