"""What ``./hesper test`` runs: the system's programs, the quick checks, then the tests.

Every step tells itself in one line on stderr, a failing one with all it has to say; a later step
runs even when an earlier one failed. The checks go beside the search for programs, a long one
beside the tests. The failed tests and pytest's closing line are the last lines printed, so that
whoever reads only the end of a log reads what is wrong.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from rich.console import Console
from rich.markup import escape

from hesper_lab import system
from hesper_lab.failed_tests import failed_tests
from hesper_lab.site import PACKAGES, ROOT

BIN = Path(sys.executable).parent
PROGRAMS = (
    system.MOSQUITTO,
    system.INFLUXD,
    system.POSTGRES,
    system.VICTORIA_METRICS,
    system.CHROMIUM,
    system.SOFTHSM,
)
QUICK: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("format", ("ruff", "format", "--check", ".")),
    ("lint", ("ruff", "check", ".")),
    ("types", ("mypy",)),
    ("import contracts", ("lint-imports",)),
)
LONG = ("types",)
"""Checks that the tests do not wait for; told before them if done by then, else after them."""
_WORKERS_PER_CORE = 2  # a third of the time is spent waiting for brokers, meters and browsers
_MOST_WORKERS = 4  # each starts brokers, databases and browsers of its own
_TAIL_OCTETS = 8192
_CHUNK_OCTETS = 65536


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check said, and how long it took."""

    command: Sequence[str]
    status: int
    said: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Tested:
    """How pytest ended: what it said on stderr, the tests that failed, and its closing line."""

    status: int
    said: str
    failed: Sequence[str]
    closing: Sequence[str]
    took_s: float


@dataclass(slots=True)
class Progress:
    """One line per step on stderr, and the names of the steps that failed."""

    screen: Console
    failed: list[str] = field(default_factory=list)

    def passed(self, step: str, note: str) -> None:
        """Tell that a step is well."""
        self.screen.print(f"[green]✓[/] {step:<18}[dim]{escape(note)}[/]", highlight=False)

    def skipped(self, step: str, note: str) -> None:
        """Tell that a step could not be made and does not count against the run."""
        self.screen.print(f"[yellow]–[/] {step:<18}{escape(note)}", highlight=False)

    def fail(self, step: str, note: str) -> None:
        """Tell that a step failed; the run will."""
        self.failed.append(step)
        self.screen.print(f"[red]✗ {step:<18}[/]{escape(note)}", highlight=False)


def run(arguments: list[str], checks: Sequence[tuple[str, tuple[str, ...]]] = QUICK) -> int:
    """Run all steps; with arguments, pytest gets them and runs only the tests that they name.

    Returns:
        0 when every step passed, else 1.
    """
    progress = Progress(Console(stderr=True))
    environment = dict(os.environ)
    with ThreadPoolExecutor() as beside:
        under_way = {name: beside.submit(_check, command) for name, command in checks}
        for wanted in PROGRAMS:
            _bring(wanted, environment, progress)
        early = [name for name, check in under_way.items() if name not in LONG or check.done()]
        for name in early:
            _tell(name, under_way.pop(name).result(), progress)
        tested = _tests(arguments, environment)
        for name, check in under_way.items():
            _tell(name, check.result(), progress)
    _tell_tests(tested, progress)
    if progress.failed:
        progress.screen.print(f"[red]failed: {', '.join(progress.failed)}[/]", highlight=False)
    if under_way or tested.said or progress.failed:
        for line in tested.closing:
            print(line, flush=True)  # noqa: T201 - the count is this command's result
    return 1 if progress.failed else 0


def _bring(wanted: system.Wanted, environment: dict[str, str], progress: Progress) -> None:
    """Find or bring a program that tests start, and let them find it as well."""
    step = wanted.name
    try:
        program = system.require(
            wanted, PACKAGES, lambda text: progress.screen.print(text, style="dim")
        )
    except system.Missing as missing:
        if environment.get("CI") == "true":
            progress.fail(step, str(missing))
        else:
            progress.skipped(step, f"its tests are skipped: {missing}")
        return
    _extend(environment, "PATH", str(program.path.parent))
    for name, places in program.environment.items():
        _extend(environment, name, places)
    progress.passed(step, str(program.path))


def _extend(environment: dict[str, str], name: str, places: str) -> None:
    """Append places to a search path, so that what is found already stays in front."""
    known = [place for place in environment.get(name, "").split(os.pathsep) if place]
    added = [place for place in places.split(os.pathsep) if place not in known]
    environment[name] = os.pathsep.join([*known, *added])


def _check(command: Sequence[str]) -> Checked:
    """Run a check to its end and keep what it says."""
    started = time.monotonic()
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Checked(command, done.returncode, done.stdout, time.monotonic() - started)


def _tell(name: str, checked: Checked, progress: Progress) -> None:
    told = " ".join(checked.command)
    if checked.status == 0:
        progress.passed(name, f"{told}, {checked.took_s:.1f} s")
        return
    progress.fail(name, f"{told}, exit {checked.status}, {checked.took_s:.1f} s")
    progress.screen.out(checked.said, highlight=False)


def _tests(arguments: Sequence[str], environment: Mapping[str, str]) -> Tested:
    """Run pytest, whose own words pass on as they come."""
    started = time.monotonic()
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    manner = [] if arguments else _side_by_side()
    with TemporaryFile() as aside, TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        told = ["-o", "junit_family=xunit1", f"--junit-xml={report}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *colour, *manner, *told, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=aside,
        )
        tail = _pass_on(process)
        took_s = time.monotonic() - started
        lines = [line for line in tail.decode(errors="replace").splitlines() if line.strip()]
        return Tested(
            process.returncode, _what_was_said(aside), failed_tests(report), lines[-1:], took_s
        )


def _tell_tests(tested: Tested, progress: Progress) -> None:
    if tested.said:
        progress.screen.out(tested.said, highlight=False)
    if tested.status:
        progress.fail("tests", f"exit {tested.status}, {tested.took_s:.0f} s")
    for line in tested.failed:
        progress.screen.out(f"  {line}", highlight=False)


def _side_by_side() -> list[str]:
    """Return pytest's options for side by side work; the tests of one file stay together.

    Files go out in the order of the collection, which is that of `tests/longest_first.py`.
    """
    workers = min(_WORKERS_PER_CORE * (os.cpu_count() or 1), _MOST_WORKERS)
    return ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]


def _pass_on(process: subprocess.Popen[bytes]) -> bytes:
    """Copy a process's stdout to ours as it comes; return the end of it."""
    tail = b""
    with process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), _CHUNK_OCTETS):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail = (tail + chunk)[-_TAIL_OCTETS:]
    return tail


def _what_was_said(aside: IO[bytes]) -> str:
    aside.seek(0)
    return aside.read().decode(errors="replace").rstrip()
