"""`hesper`, the launcher: what it says before there is any environment."""

import ast
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def lone(tmp_path: Path, root: Path) -> Path:
    """The launcher alone in an empty folder."""
    return Path(shutil.copy(root / "hesper", tmp_path))


def test_help_needs_no_environment_and_makes_none(lone):
    for words in ([], ["--help"], ["help"]):
        ended = subprocess.run([lone, *words], capture_output=True, text=True, check=False)
        assert ended.returncode == 0
        assert "demo --check" in ended.stdout
    assert [path.name for path in lone.parent.iterdir()] == ["hesper"]


def test_an_unknown_command_is_refused_with_the_known_ones(lone):
    ended = subprocess.run([lone, "dmeo"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "unknown command 'dmeo'" in ended.stderr
    assert "demo" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("python", ["python3", sys.executable])
def test_any_python_of_the_system_runs_it(lone, python):
    ended = subprocess.run([python, lone, "--help"], capture_output=True, text=True, check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("said", "prefix"),
    [({}, None), ({"PYTHONDONTWRITEBYTECODE": "1"}, ".venv/bytecode")],
)
def test_bytecode_that_may_not_lie_beside_the_sources_is_kept(lone, said, prefix):
    launcher = runpy.run_path(str(lone))
    environment = dict(said)
    launcher["keep_bytecode"](environment)
    kept = prefix and {"PYTHONPYCACHEPREFIX": str(lone.resolve().parent / prefix)}
    assert environment == (kept or {})


def test_where_it_is_kept_already_it_stays(lone):
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/elsewhere"}
    runpy.run_path(str(lone))["keep_bytecode"](environment)
    assert environment == {"PYTHONPYCACHEPREFIX": "/elsewhere"}


def test_an_old_python_can_at_least_read_it(root):
    ast.parse((root / "hesper").read_text(), feature_version=(3, 6))


AS_TYPED = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # in a shell's background it is ignored
sys.argv[:] = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("installer", "code", "said"),
    [("kill -INT $PPID", 130, ""), ("true", 3, "No such file or directory")],
)
def test_what_ends_the_making_of_the_environment_shows_no_traceback(lone, installer, code, said):
    """Ctrl-C in its first minute, or a folder in which it cannot be made."""
    folder = lone.parent / "bin"
    folder.mkdir()
    (folder / "uv").write_text(f"#!/bin/sh\n{installer}\n")
    (folder / "uv").chmod(0o755)
    ended = subprocess.run(
        [sys.executable, "-c", AS_TYPED, lone, "setup"], capture_output=True, text=True,
        check=False, timeout=60, env={"PATH": f"{folder}:/usr/bin:/bin"},
    )  # fmt: skip
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr
    assert said in ended.stderr


def test_help_names_what_was_typed():
    ended = subprocess.run(
        [sys.executable, "-m", "hesper_lab", "demo", "--help"], capture_output=True, text=True,
        check=True, env={**os.environ, "HESPER_STARTED_AT": "1"},
    )  # fmt: skip
    assert "Usage: ./hesper demo [OPTIONS]" in ended.stdout
