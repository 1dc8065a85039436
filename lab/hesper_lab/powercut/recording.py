"""Records what a process does to the files of one folder, system call by system call.

strace follows all threads and prints descriptors with their paths (``-y``) and octets in hex
(``-xx``). SQLite maps its ``-shm`` file; it is made anew after a
crash and needs no recording.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PROMISES = "promises"
"""The file to which the workload writes its promises, one line each."""
_CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2"
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(?:<.*>)?(?: .*)?$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"^(?:\d+|AT_FDCWD)<([^>]*)>")

Action = Literal["write", "truncate", "sync", "create", "unlink", "rename", "promise"]


class NoRecorder(Exception):
    """strace is not installed, or may not trace here."""


class Unreadable(Exception):
    """A line of strace that this module does not understand."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done; names are relative to the folder, "" is the folder itself.

    Attributes:
        octets: Of a write or a promise; the new name of a rename.
        at: Offset of a write (None: at the end), size of a truncation.
    """

    action: Action
    name: str
    octets: bytes = b""
    at: int | None = None


def record(command: Sequence[str], folder: Path) -> list[Step]:
    """Runs a command and returns what it did to files in a folder, in the order of completion.

    Raises:
        NoRecorder: strace is absent or not permitted.
        CalledProcessError: the command failed.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise NoRecorder("strace is not installed")
    log = folder.with_name(folder.name + ".strace")
    options = ["-f", "-y", "-xx", "-s", str(1 << 26), "-e", f"trace={_CALLS}", "-o", str(log)]
    ran = subprocess.run(
        [strace, *options, *command], check=False, stderr=subprocess.PIPE, text=True
    )
    if "ptrace" in ran.stderr and ran.returncode:
        raise NoRecorder(ran.stderr.strip().splitlines()[0])
    if ran.returncode:
        raise subprocess.CalledProcessError(ran.returncode, command, stderr=ran.stderr)
    with log.open() as lines:
        return list(_steps(_whole(lines), folder))


def _whole(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    """Yields calls that another thread's calls had interrupted in the log as one line each."""
    begun: dict[str, str] = {}
    for line in lines:
        line = line.rstrip("\n")
        if found := _UNFINISHED.match(line):
            begun[found[1]] = line.removesuffix(" <unfinished ...>")
        elif found := _RESUMED.match(line):
            yield begun.pop(found[1]) + found[2]
        else:
            yield line


def _steps(lines: Iterator[str], folder: Path) -> Iterator[Step]:
    inside = f"{folder}/"
    for line in lines:
        found = _CALL.match(line)
        if found is None or int(found[3]) < 0:
            continue
        call, arguments, result = found[1], found[2], int(found[3])
        paths = _paths(call, arguments)
        names = [
            path.removeprefix(inside) if path != str(folder) else ""
            for path in paths
            if path.startswith(inside) or path == str(folder)
        ]
        if not names or names[0].endswith("-shm"):
            continue
        yield from _step(call, names, arguments, result)


def _paths(call: str, arguments: str) -> list[str]:
    if call in {"openat", "unlink", "unlinkat", "rename", "renameat", "renameat2"}:
        return [_text(each).decode() for each in _STRING.findall(arguments)]
    found = _DESCRIPTOR.match(arguments)
    return [_text(found[1]).decode() if "\\x" in found[1] else found[1]] if found else []


def _step(call: str, names: list[str], arguments: str, result: int) -> Iterator[Step]:
    name = names[0]
    match call:
        case "openat":
            if "O_CREAT" in arguments:
                yield Step("create", name)
            if "O_TRUNC" in arguments:
                yield Step("truncate", name, at=0)
        case "write" | "pwrite64":
            octets = _text(_STRING.findall(arguments)[0])[:result]
            at = int(arguments.rsplit(",", 1)[1]) if call == "pwrite64" else None
            yield Step("promise" if name == PROMISES else "write", name, octets, at)
        case "ftruncate":
            yield Step("truncate", name, at=int(arguments.rsplit(",", 1)[1]))
        case "fsync" | "fdatasync":
            yield Step("sync", name)
        case "unlink" | "unlinkat":
            yield Step("unlink", name)
        case "rename" | "renameat" | "renameat2":
            yield Step("rename", name, names[1].encode())
        case _:
            raise Unreadable(call)


def _text(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
