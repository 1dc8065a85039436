"""The machine under a gateway: versions, room, clock and the service's log."""

import ctypes
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LOG_LINES = 5000
SERVICE = "hesper-gateway"
_PACKAGES = (
    "hesper",
    "aiomqtt",
    "cryptography",
    "gurux-dlms",
    "msgspec",
    "paho-mqtt",
    "pydantic",
    "pyserial",
    "zstandard",
)
_TIMEX_OCTETS = 256
_TIME_ERROR = 5
_COMMAND_S = 20


def versions() -> dict[str, str]:
    """Return what runs here."""
    found = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def room(folder: Path) -> dict[str, int | str]:
    """Return the room on the disk that holds a folder, in octets, and the memory left."""
    found: dict[str, int | str] = {}
    try:
        usage = shutil.disk_usage(folder)
        found |= {"disk_total": usage.total, "disk_free": usage.free}
        found["inodes_free"] = os.statvfs(folder).f_favail
    except OSError as error:
        found["disk"] = f"{folder}: {error.strerror}"
    found["load"] = " ".join(f"{part:.2f}" for part in os.getloadavg())
    for name in ("MemTotal", "MemAvailable"):
        found[name] = _meminfo(name)
    return found


def clock() -> dict[str, str | float]:
    """Return the time, how long the machine is up, and whether anything keeps its clock right."""
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "up_s": float(_first_word("/proc/uptime") or 0),
        "synchronised": _synchronised(),
    }


def service() -> str:
    """Return what systemd says of the agent."""
    return (_output("systemctl", "is-active", SERVICE) or "systemd is not here").strip()


def log(path: Path | None) -> str:
    """Return the last lines of the agent's log: of a file, or of the journal."""
    if path is None:
        return _output("journalctl", "-u", SERVICE, "-n", str(LOG_LINES), "-o", "short-iso")
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"{path}: {error.strerror}\n"
    return "\n".join(lines[-LOG_LINES:]) + "\n"


def _synchronised() -> str:
    """Ask the kernel (adjtimex), which every time service tells: chrony, ntpd, timesyncd."""
    buffer = ctypes.create_string_buffer(_TIMEX_OCTETS)
    state = ctypes.CDLL(None).adjtimex(buffer)
    if state < 0:
        return "unknown"
    return "no" if state == _TIME_ERROR else "yes"


def _meminfo(name: str) -> str:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return "unknown"
    return next((line.split(":")[1].strip() for line in lines if line.startswith(name)), "unknown")


def _first_word(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").split()[0]
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_COMMAND_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ended.stdout
