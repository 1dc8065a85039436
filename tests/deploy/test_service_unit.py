"""The systemd units: understood by systemd, and shut in as far as their work allows."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

EXPOSURE_MAX = 2.0
UNITS = ("broker", "authority", "cloud", "gateway")
PLACES = ("ReadWritePaths", "InaccessiblePaths", "ReadOnlyPaths")


@pytest.fixture(params=UNITS)
def unit(root, request) -> Path:
    """The path of a unit as it ships."""
    return root / f"deploy/hesper-{request.param}.service"


@pytest.fixture(params=UNITS)
def of_site(site, request) -> Path:
    """The path of a unit as `prepare --local` writes it."""
    return site / f"systemd/hesper-{request.param}.service"


@pytest.fixture
def systemd_analyze():
    """The checker that ships with systemd."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    return program


def complaints(systemd_analyze: str, unit: Path) -> list[str]:
    """What systemd has to say about a unit."""
    ended = subprocess.run(
        [systemd_analyze, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [line for line in ended.stderr.splitlines() if unit.name in line]


def settings(unit: Path, name: str) -> Iterator[str]:
    """Yields the words of a setting, wherever it stands in a unit."""
    for value in re.findall(rf"^{name}=((?:.*\\\n)*.*)$", unit.read_text(), re.MULTILINE):
        yield from value.replace("\\\n", " ").split()


def test_systemd_understands_every_line(unit, systemd_analyze):
    # The program itself is not installed where the tests run.
    found = [line for line in complaints(systemd_analyze, unit) if "not executable" not in line]
    assert found == []


def test_it_is_exposed_little(unit, systemd_analyze):
    ended = subprocess.run(
        [systemd_analyze, "security", "--offline=yes", "--no-pager", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for \S+: ([\d.]+)", ended.stdout)
    if found is None:
        pytest.skip("this systemd-analyze judges no unit files")
    assert float(found[1]) <= EXPOSURE_MAX


def test_it_is_started_again_for_ever(unit):
    assert list(settings(unit, "Restart")) == ["always"]
    assert list(settings(unit, "StartLimitIntervalSec")) == ["0"]


def test_the_units_of_a_site_are_whole(of_site, systemd_analyze):
    assert complaints(systemd_analyze, of_site) == []


def test_the_units_of_a_site_name_what_is_there(of_site, root, programs):
    program, *words = settings(of_site, "ExecStart")
    assert Path(program).parent in {programs, root / "deploy"}
    files = [word for word in words if word.startswith("/")]
    places = [place.removeprefix("-") for name in PLACES for place in settings(of_site, name)]
    for each in (program, *files, *places):
        assert Path(each).exists(), each
    assert list(settings(of_site, "User")) == [pwd.getpwuid(os.getuid()).pw_name]


def test_the_units_of_a_site_give_commands_and_options_that_are_known(of_site):
    program, *words = settings(of_site, "ExecStart")
    if Path(program).name == "broker":
        pytest.skip("a script, which takes files alone")
    command, *rest = words
    shown = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True)
    for option in (word for word in rest if word.startswith("-")):
        assert option in shown.stdout


def test_the_process_that_faces_the_web_does_not_see_what_the_authority_alone_holds(root):
    unit = root / "deploy/hesper-cloud.service"
    hidden = {Path(each).name for each in settings(unit, "InaccessiblePaths") if "site" in each}
    mounted = re.findall(r"/dev/null:\S*/([\w.]+):ro", (root / "deploy/compose.yaml").read_text())
    assert hidden == set(mounted)


def test_the_process_that_faces_the_web_looks_into_no_other(of_site, site):
    """Through /proc it would see the files of any process of its account and group."""
    web = site / "systemd/hesper-cloud.service"
    own = list(settings(web, "Group"))
    assert (list(settings(of_site, "Group")) == own) == (of_site == web)


def test_the_authoritys_folder_is_only_its_own_to_write(site):
    writes = {name: list(settings(site / f"systemd/hesper-{name}.service", "ReadWritePaths"))
              for name in ("authority", "cloud")}  # fmt: skip
    place = str(site / "authority")
    assert place in writes["authority"]
    assert not any(place.startswith(each) for each in writes["cloud"])
    assert f"sqlite:///{place}/" in (site / "cloud/cloud.toml").read_text()


def test_the_process_that_faces_the_web_cannot_write_what_the_authority_runs_by(site):
    unit = site / "systemd/hesper-cloud.service"
    assert list(settings(unit, "ReadOnlyPaths")) == [str(site / "cloud/cloud.toml")]
