"""The systemd unit: understood by systemd, and shut in as far as its work allows."""

import configparser
import re
import shutil
import subprocess

import pytest

EXPOSURE_MAX = 2.0


@pytest.fixture
def unit(root):
    """The unit's path."""
    return root / "deploy/hesper-gateway.service"


@pytest.fixture
def systemd_analyze():
    """The checker that ships with systemd."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return program


def test_systemd_understands_every_line(unit, systemd_analyze):
    ended = subprocess.run(
        [systemd_analyze, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    complaints = [line for line in ended.stderr.splitlines() if unit.name in line]
    # The program itself is not installed where the tests run.
    assert [line for line in complaints if "/opt/hesper/bin" not in line] == []


def test_it_is_exposed_little(unit, systemd_analyze):
    ended = subprocess.run(
        [systemd_analyze, "security", "--offline=yes", "--no-pager", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for \S+: ([\d.]+)", ended.stdout)
    if found is None:
        pytest.skip("this systemd-analyze judges no unit files")
    assert float(found[1]) <= EXPOSURE_MAX


def test_it_runs_what_the_package_installs(unit, project_scripts):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(unit)
    words = parser["Service"]["ExecStart"].split()
    assert words[0].removeprefix("/opt/hesper/bin/") in project_scripts
    assert words[1:3] == ["run", "--config"]
    assert parser["Service"]["Restart"] == "always"


@pytest.fixture
def project_scripts(root):
    """The console scripts that pyproject.toml declares."""
    return re.findall(r"^(hesper-\w+) = ", (root / "pyproject.toml").read_text(), re.MULTILINE)
