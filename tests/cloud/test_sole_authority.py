"""One authority alone decides on a database, and a killed one is in nobody's way."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DEADLINE_S = 60.0
Starts = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def starts(head_end, tmp_path: Path) -> Iterator[Starts]:
    """Starts authorities on one state folder, whose broker is not there."""
    config = tmp_path / "cloud.toml"
    config.write_text('state = "state"\n[broker]\nhost = "127.0.0.1"\nport = 9\n')
    program = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
    running: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [*program, "authority", "-c", str(config)]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for each in running:
        each.kill()
        each.communicate()


def decides(process: subprocess.Popen[str]) -> bool:
    """Reads what a process says until it decides, or to its end."""
    assert process.stderr is not None
    return any("the authority decides" in line for line in process.stderr)


def test_a_second_authority_says_why_it_does_not_start(starts, tmp_path):
    first = starts()
    assert decides(first)
    second = starts()
    _, said = second.communicate(timeout=DEADLINE_S)
    assert second.returncode == 2
    assert said.count("\n") == 1
    assert said.startswith("hesper-cloud: another authority works on ")
    assert "authority.db: stop that one first" in said
    assert first.poll() is None
    assert (tmp_path / "state" / "authority.db.lock").stat().st_mode & 0o777 == 0o600


def test_a_killed_authority_keeps_no_other_from_starting(starts):
    first = starts()
    assert decides(first)
    first.kill()
    first.wait(DEADLINE_S)
    assert decides(starts())
