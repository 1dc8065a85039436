"""`./hesper test`: a step that fails shows why, the rest still runs, the count comes last."""

import os
import runpy

import pytest
from hesper_lab import checks

ONE_TEST = "def test_it(): assert {}\n"


@pytest.fixture
def collect(tmp_path, monkeypatch):
    """Write a test file; return the arguments that run it alone, without the house's plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def write(body: str) -> list[str]:
        path = tmp_path / "test_one.py"
        path.write_text(body)
        return ["-q", "-p", "no:cacheprovider", str(path)]

    return write


def test_all_well_is_zero(collect, capfdbinary):
    assert checks.run(collect(ONE_TEST.format(True)), checks=[("version", ("ruff", "-V"))]) == 0
    said, told = capfdbinary.readouterr()
    assert b"1 passed" in said.splitlines()[-1]
    assert "✓ version" in told.decode()


def test_a_failing_check_shows_its_output_and_the_tests_still_run(collect, capfdbinary, tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("import os\n")
    broken = [("lint", ("ruff", "check", "--isolated", str(wrong)))]
    assert checks.run(collect(ONE_TEST.format(True)), checks=broken) == 1
    said, told = capfdbinary.readouterr()
    assert "F401" in told.decode()
    assert "failed: lint" in told.decode()
    assert b"1 passed" in said.splitlines()[-1]


def test_a_long_check_goes_beside_the_tests_and_still_counts(
    collect, capfdbinary, monkeypatch, tmp_path
):
    begun = tmp_path / "begun"
    monkeypatch.setattr(checks, "BIN", tmp_path)
    (tmp_path / "slow").write_text(
        f"#!/bin/sh\nread line <{begun}\necho no such type $line\nexit 1"
    )
    (tmp_path / "slow").chmod(0o755)
    os.mkfifo(begun)
    test = f"def test_it(): open({str(begun)!r}, 'w').write('from the test')\n"
    assert checks.run(collect(test), checks=[("types", ("slow",))]) == 1
    said, told = capfdbinary.readouterr()
    assert "no such type from the test" in told.decode()
    assert "failed: types" in told.decode()
    assert b"1 passed" in said.splitlines()[-1]


def test_a_failing_test_fails_the_run(collect, capfdbinary):
    assert checks.run(collect(ONE_TEST.format(False)), checks=[]) == 1
    said, told = capfdbinary.readouterr()
    assert b"1 failed" in said.splitlines()[-1]
    assert "failed: tests" in told.decode()


def test_a_missing_program_counts_under_ci_only(collect, capfd, monkeypatch):
    def missing(wanted, packages, say):
        raise checks.system.Missing(f"{wanted.name} is needed. Type:\n  apt-get install it")

    monkeypatch.setattr(checks.system, "require", missing)
    for under_ci, status in (("", 0), ("true", 1)):
        monkeypatch.setenv("CI", under_ci)
        assert checks.run(collect(ONE_TEST.format(True)), checks=[]) == status
        assert "apt-get install it" in capfd.readouterr().err


def test_the_files_that_begin_first_are_there(root):
    tests = root / "tests"
    names = runpy.run_path(str(tests / "longest_first.py"))["LONGEST"]
    assert [name for name in names if not (tests / name).is_file()] == []
