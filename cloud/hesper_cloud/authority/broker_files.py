"""Files that the broker reads and the authority writes: replaced durably, as one step."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from hesper_contracts.durable import synchronise

_RELOAD_S = 10.0
_AT_ONCE_S = 0.5  # a signal takes milliseconds; other commands must not wait for a slow one
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


class Reload:
    """Tells the broker to read its files again; a command that takes long goes on beside the rest.

    Whoever began it asks at each turn whether it is over: nothing waits for a command that hangs,
    for the kill switch might wait behind it.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._until = 0.0

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun, and nobody has heard yet how it ended."""
        return self._process is not None

    def begin(self) -> None:
        """Starts the command, where there is one, and gives it a moment.

        Raises:
            OSError: there is no such program.
        """
        if self._command:
            self._process = subprocess.Popen(self._command)
            self._until = time.monotonic() + _RELOAD_S
            _wait_a_moment(self._process)

    def is_over(self) -> bool:
        """Says whether the broker was told; False while the command runs.

        Raises:
            subprocess.SubprocessError: it failed, or took too long and was ended.
        """
        process = self._process
        if process is None:
            return True
        status = process.poll()
        if status is None and time.monotonic() < self._until:
            return False
        self._process = None
        if status is None:
            process.kill()
            _wait_a_moment(process)
            raise subprocess.TimeoutExpired(self._command, _RELOAD_S)
        if status:
            raise subprocess.CalledProcessError(status, self._command)
        return True


def _wait_a_moment(process: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_AT_ONCE_S)
