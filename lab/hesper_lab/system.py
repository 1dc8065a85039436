"""Programs of the system that Hesper runs but does not ship: found, installed, or asked for.

The order is the one a careful newcomer would choose: what is there is used; else the system's
package manager installs it where it may (root or passwordless sudo); else the distribution's
package is unpacked into a folder of our own, which needs no rights; else the command is named.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/usr/local/bin")


class Missing(Exception):
    """A program is not here and could not be brought; the text holds the command to type."""


@dataclass(frozen=True, slots=True)
class Program:
    """An executable with the environment it needs."""

    path: Path
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A program by name, and the package that holds it per package manager."""

    name: str
    debian: str
    fedora: str
    arch: str
    brew: str


MOSQUITTO = Wanted("mosquitto", "mosquitto", "mosquitto", "mosquitto", "mosquitto")
INFLUXD = Wanted("influxd", "influxdb", "influxdb", "influxdb", "influxdb@1")
CHROMIUM = Wanted("chromium", "chromium", "chromium", "chromium", "chromium")
POSTGRES = Wanted("postgres", "postgresql", "postgresql-server", "postgresql", "postgresql")
VICTORIA_METRICS = Wanted(
    "victoria-metrics", "victoria-metrics", "victoria-metrics", "victoriametrics", "victoriametrics"
)
SOFTHSM = Wanted("softhsm2-util", "softhsm2", "softhsm", "softhsm", "softhsm")
_DEBIAN_POSTGRES = "usr/lib/postgresql/*/bin"  # every version has a folder of its own


def find(name: str, unpacked: Path | None = None) -> Program | None:
    """Return a program of the system, or one that was unpacked into our own folder before."""
    versioned = sorted(map(str, Path("/").glob(_DEBIAN_POSTGRES)), reverse=True)
    folders = os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS, *versioned))
    path = shutil.which(name, path=folders)
    if path:
        return Program(Path(path), {})
    if unpacked is None or not unpacked.exists():
        return None
    places = (unpacked / "usr/sbin", unpacked / "usr/bin", *unpacked.glob(_DEBIAN_POSTGRES))
    found = next((place / name for place in places if (place / name).exists()), None)
    if found is None:
        return None
    libraries = {str(path.parent) for path in unpacked.glob("usr/lib/**/*.so*")}
    return Program(found, {"LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries))})


def require(wanted: Wanted, packages: Path, say: Say, *, install: bool = True) -> Program:
    """Return a program, bringing it first where that is allowed.

    Raises:
        Missing: it is not here and cannot be brought; the text names the command to type.
    """
    unpacked = packages / wanted.debian
    found = find(wanted.name, unpacked)
    if found is None and install:
        say(f"{wanted.name} is not on this machine")
        if _install(wanted, say):
            found = find(wanted.name)
        elif _unpack(wanted.debian, unpacked, say):
            found = find(wanted.name, unpacked)
    if found is None:
        raise Missing(f"{wanted.name} is needed. Type:\n  {_command_to_type(wanted)}")
    return found


def softhsm_module(program: Program) -> Path | None:
    """Return the PKCS#11 library beside SoftHSM's program; its folder differs by distribution."""
    usr = program.path.parent.parent
    places = ("lib/softhsm", "lib/*/softhsm", "lib64/pkcs11", "lib64/softhsm", "lib/pkcs11")
    found = (path for place in places for path in usr.glob(f"{place}/libsofthsm2.so"))
    return next(found, None)


def _privilege() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if (
        sudo
        and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return [sudo, "-n"]
    return None


def _install(wanted: Wanted, say: Say) -> bool:
    privilege = _privilege()
    if privilege is None or not shutil.which("apt-get"):
        return False
    say(f"installing {wanted.debian} with apt-get …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", wanted.debian]
    for command in (install, ["apt-get", "update", "-q"], install):
        done = subprocess.run(
            [*privilege, *command], capture_output=True, check=False, env=environment
        )
        if command is install and done.returncode == 0:
            return True
    return False


def _unpack(package: str, folder: Path, say: Say) -> bool:
    """Unpack a Debian package and what it depends on and the system lacks; needs no rights."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return False
    say(f"unpacking the distribution's {package} into {folder} …")
    archives = folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    names = [package, *_missing_dependencies(package)]
    if subprocess.run(
        ["apt-get", "download", "-q", *names], cwd=archives, capture_output=True, check=False
    ).returncode:
        return False
    return all(
        subprocess.run(
            ["dpkg-deb", "--extract", archive, folder], capture_output=True, check=False
        ).returncode
        == 0
        for archive in archives.glob("*.deb")
    )


def _missing_dependencies(package: str) -> list[str]:
    """Return what the package manager would install with a package; asking needs no rights."""
    simulated = subprocess.run(
        ["apt-get", "install", "--simulate", "-q", "--no-install-recommends", package],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = (line.split() for line in simulated.splitlines())
    return sorted({words[1] for words in lines if words[:1] == ["Inst"]} - {package})


def _command_to_type(wanted: Wanted) -> str:
    commands = {
        "apt-get": f"sudo apt-get install {wanted.debian}",
        "dnf": f"sudo dnf install {wanted.fedora}",
        "pacman": f"sudo pacman -S {wanted.arch}",
        "brew": f"brew install {wanted.brew}",
    }
    manager = next((name for name in commands if shutil.which(name)), "apt-get")
    return commands[manager]
