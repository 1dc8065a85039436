"""Finding and bringing programs: a PATH of small real scripts, and Debian's package for real."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hesper_lab import broker_files, system
from hesper_lab.ports import accepts
from hesper_lab.processes import Child, wait_until
from hesper_lab.site import Site, Wishes
from hesper_lab.system import MOSQUITTO, Missing, Wanted

WANTED = Wanted("gadget", "gadget-deb", "gadget-rpm", "gadget-arch", "gadget-brew")
APT_LISTS = Path("/var/lib/apt/lists")
BROKER_ALONE_NEEDS = ("mosquitto", "libcjson1", "libdlt2", "libmosquitto1")

LOGGED_APT = """\
echo "apt-get $*" >> {log}
case "$1" in
install) test -e {bin}/updated || exit 100; /bin/cp {bin}/true {bin}/gadget ;;
update) : > {bin}/updated ;;
*) exit 100 ;;
esac
"""
HOPELESS_APT = """\
echo "apt-get $*" >> {log}
case "$1 $2" in
"install --simulate") echo "Inst gadget-deb (1.0 x)"; echo "Inst libgadget1 (1.0 x)" ;;
download*) : > gadget.deb; : > libgadget.deb ;;
*) exit 100 ;;
esac
"""
DPKG_DEB = """\
case "$2" in
*/gadget.deb) /bin/mkdir -p "$3/usr/sbin"; /bin/cp {bin}/true "$3/usr/sbin/gadget" ;;
*) /bin/mkdir -p "$3/usr/lib/arch"; : > "$3/usr/lib/arch/libgadget.so.1" ;;
esac
"""


class Machine:
    """A machine whose PATH holds nothing but the scripts that a test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.packages = folder / "packages"
        self.log = folder / "log"
        self.said: list[str] = []
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setattr(system, "_SYSTEM_FOLDERS", ())
        self.script("true", "exit 0")

    def script(self, name: str, body: str) -> Path:
        path = self.bin / name
        text = body.replace("{log}", str(self.log)).replace("{bin}", str(self.bin))
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def may_everything(self) -> None:
        self.script("sudo", 'test "$1" = -n && shift; exec "$@"')

    def require(self, *, install: bool = True) -> system.Program:
        return system.require(WANTED, self.packages, self.said.append, install=install)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A bare machine."""
    return Machine(tmp_path, monkeypatch)


def test_what_is_there_is_used_and_nothing_is_said(machine: Machine) -> None:
    there = machine.script("gadget", "exit 0")
    machine.script("apt-get", LOGGED_APT)
    assert machine.require() == system.Program(there, {})
    assert (machine.said, machine.calls()) == ([], [])


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        (None, "sudo apt-get install gadget-deb"),
        ("apt-get", "sudo apt-get install gadget-deb"),
        ("dnf", "sudo dnf install gadget-rpm"),
        ("pacman", "sudo pacman -S gadget-arch"),
        ("brew", "brew install gadget-brew"),
    ],
)
def test_without_leave_to_install_the_command_is_named(
    machine: Machine, manager: str | None, command: str
) -> None:
    if manager:
        machine.script(manager, 'echo "$0 $*" >> {log}')
    with pytest.raises(Missing, match=f"gadget is needed. Type:\n  {command}"):
        machine.require(install=False)
    assert machine.calls() == []


def test_it_is_installed_where_that_is_allowed(machine: Machine) -> None:
    machine.may_everything()
    machine.script("apt-get", LOGGED_APT)
    assert machine.require().path == machine.bin / "gadget"
    install = "apt-get install -y -q --no-install-recommends gadget-deb"
    assert machine.calls() == [install, "apt-get update -q", install]
    assert machine.said == [
        "gadget is not on this machine",
        "installing gadget-deb with apt-get …",
    ]


def test_else_the_distributions_package_is_unpacked_and_found_again(machine: Machine) -> None:
    machine.script("apt-get", HOPELESS_APT)
    machine.script("dpkg-deb", DPKG_DEB)
    unpacked = machine.packages / "gadget-deb"
    found = system.Program(
        unpacked / "usr/sbin/gadget", {"LD_LIBRARY_PATH": str(unpacked / "usr/lib/arch")}
    )
    assert machine.require() == found
    assert machine.calls()[-1] == "apt-get download -q gadget-deb libgadget1"
    said, calls = len(machine.said), len(machine.calls())
    assert machine.require() == found
    assert (len(machine.said), len(machine.calls())) == (said, calls)


def test_the_systems_own_program_comes_before_an_unpacked_one(machine: Machine) -> None:
    unpacked = machine.packages / "gadget-deb"
    (unpacked / "usr/bin").mkdir(parents=True)
    shutil.copy(machine.bin / "true", unpacked / "usr/bin/gadget")
    found = system.find("gadget", unpacked)
    assert found is not None
    assert found.path == unpacked / "usr/bin/gadget"
    there = machine.script("gadget", "exit 0")
    assert system.find("gadget", unpacked) == system.Program(there, {})


def test_when_nothing_helps_the_command_is_named(machine: Machine) -> None:
    machine.script("apt-get", "exit 100")
    machine.script("dpkg-deb", "exit 2")
    with pytest.raises(Missing, match="sudo apt-get install gadget-deb"):
        machine.require()


def test_without_a_password_sudo_is_left_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.script("sudo", "exit 1")
    machine.script("apt-get", HOPELESS_APT)
    with pytest.raises(Missing):
        machine.require()
    assert not [call for call in machine.calls() if "install" in call]


@pytest.mark.integration
def test_debians_mosquitto_runs_from_a_folder_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloaded, unpacked and started without any rights, with the libraries beside it."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("no apt-get here: packages can be unpacked on Debian and its kin alone")
    if not any(APT_LISTS.glob("*_Packages*")):
        pytest.skip("apt has no package lists here: run apt-get update first")
    unpacked = tmp_path / "mosquitto"
    monkeypatch.setenv("APT_CONFIG", str(_without_mosquitto(tmp_path)))
    if not system._unpack(MOSQUITTO.debian, unpacked, lambda _: None):
        probe = ["apt-get", "download", "-q", "libcjson1"]
        if subprocess.run(probe, cwd=tmp_path, capture_output=True, check=False).returncode:
            pytest.skip("the package archive cannot be reached from here")
        pytest.fail("the package archive can be reached, and the package was not unpacked")
    monkeypatch.delenv("APT_CONFIG")
    monkeypatch.setattr(system, "_SYSTEM_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    program = system.find("mosquitto", unpacked)
    assert program is not None
    assert program.path == unpacked / "usr/sbin/mosquitto"
    site = Site.open(tmp_path / "site", Wishes())
    broker_files.write(site, {"gw-a": "secret"})
    command = [program.path, "-c", site.broker / "mosquitto.conf"]
    child = Child("broker", command, site.logs / "broker.log", program.environment)
    child.start()
    try:
        wait_until(lambda: accepts(site.ports.broker), child, 20, "listening")
        loaded = Path(f"/proc/{child.pid}/maps").read_text()
        assert f"{unpacked}/usr/lib" in loaded
    finally:
        child.stop()
        site.lock.close()


def _without_mosquitto(folder: Path) -> Path:
    """Returns a configuration by which apt takes this machine for one without a broker.

    Whatever needs the libraries that are then missing is left out of its list as well.
    """
    stanzas = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    packages = [(_field("Package", each), _field("Depends", each), each) for each in stanzas]
    absent = set(BROKER_ALONE_NEEDS)
    while more := {
        name
        for name, depends, _ in packages
        if name not in absent and absent & set(re.findall(r"[a-z0-9][a-z0-9.+-]+", depends))
    }:
        absent |= more
    status, config = folder / "status", folder / "apt.conf"
    status.write_text("\n\n".join(each for name, _, each in packages if name not in absent))
    config.write_text(f'Dir::State::status "{status}";\n')
    return config


def _field(name: str, stanza: str) -> str:
    found = re.search(rf"^{name}: (.*)$", stanza, re.MULTILINE)
    return found[1] if found else ""
