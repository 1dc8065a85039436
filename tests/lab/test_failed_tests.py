"""What the end of a log tells of failed tests, by a real run of pytest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hesper_lab.failed_tests import failed_tests

TESTS = """
import os
import pytest

@pytest.fixture
def broken():
    raise OSError("no port\\nsecond line")

def test_well(): pass
def test_wrong(): assert 1 == 2, "one is not two"
def test_unprepared(broken): pass
"""


def run(folder: Path, tests: str, *options: str) -> list[str]:
    (folder / "test_some.py").write_text(tests)
    report = folder / "report.xml"
    told = ["-o", "junit_family=xunit1", f"--junit-xml={report}"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *told, *options],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        check=False,
    )
    return failed_tests(report)


def test_failures_and_errors_are_named_with_their_first_line(tmp_path):
    assert run(tmp_path, TESTS) == [
        "test_some.py::test_wrong failure: AssertionError: one is not two",
        'test_some.py::test_unprepared error: failed on setup with "OSError: no port',
    ]


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")])
def test_a_run_that_breaks_off_tells_what_had_failed(tmp_path, options):
    (tmp_path / "conftest.py").write_text(
        "def pytest_runtest_logreport(report):\n"
        "    if report.when == 'teardown': raise SystemError('broken off')\n"
    )
    first, *_ = run(tmp_path, "def test_wrong(): assert False, 'gone'\n", *options)
    assert first == "test_some.py::test_wrong failure: AssertionError: gone"


def test_no_report_is_no_failure(tmp_path):
    assert failed_tests(tmp_path / "report.xml") == []
