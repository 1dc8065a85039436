"""Files that the broker reads and the authority writes: replaced durably, as one step."""

import os
import subprocess
from pathlib import Path

from hesper_contracts.durable import synchronise

_RELOAD_S = 10
_AS_EVER = 0o666


def replace(file: Path, octets: bytes) -> None:
    """Puts octets in a file's place; it keeps owner and mode, a new one has the usual mode."""
    before = file.stat() if file.exists() else None
    beside = file.with_name(f"{file.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600 if before else _AS_EVER, exist_ok=False)
    with beside.open("wb") as new:
        new.write(octets)
        if before:
            os.fchmod(new.fileno(), before.st_mode & 0o777)
        if before and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(new.fileno(), before.st_uid, before.st_gid)
        new.flush()
        os.fsync(new.fileno())
    beside.replace(file)
    synchronise(file.parent)


def reload(command: tuple[str, ...]) -> None:
    """Tells the broker to read its files again, where there is a command for that.

    Raises:
        OSError: there is no such program.
        subprocess.SubprocessError: it failed, or took too long.
    """
    if command:
        subprocess.run(command, check=True, timeout=_RELOAD_S)
