"""Child processes: started with a log of their own, watched, stopped, always gone in the end."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

_STOP_S = 10.0
_SHELLS_SIGNALS = 128  # exit codes above it name a signal


class Died(Exception):
    """A child ended when it should not have; the text ends with the last lines of its log."""


class Child:
    """One process of the running system, restartable under the same name, command and log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = [str(word) for word in command]
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a process group of its own, so that Ctrl-C reaches the lab alone."""
        with self._log.open("ab") as log, _undisturbed():
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the process id of the running child."""
        if self._process is None:
            raise Died(f"{self.name} was not started")
        return self._process.pid

    def is_running(self) -> bool:
        """Return whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raise ``Died`` unless the process lives."""
        if not self.is_running():
            status = self._process.returncode if self._process else None
            raise Died(
                f"{self.name} ended (exit {status}). Its log {self._log} ends:\n{self.tail()}"
            )

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of its log."""
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def kill(self) -> None:
        """SIGKILL the whole process group, as a power cut would."""
        self._signal(signal.SIGKILL)
        self._wait(_STOP_S)

    def stop(self) -> None:
        """Ask it to stop; after ten seconds do not ask."""
        self._signal(signal.SIGTERM)
        if not self._wait(_STOP_S):
            self.kill()

    def _signal(self, number: int) -> None:
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _wait(self, seconds: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_signals() -> list[signal.Signals]:
    """Return what asks this process to stop: Ctrl-C, SIGTERM, and that its terminal is gone.

    The last only where it is not to be ignored, as whoever started it by ``nohup`` asked.
    """
    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        wanted.append(signal.SIGHUP)
    return wanted


def leave_in_order() -> None:
    """Have every wish to stop end this process as Ctrl-C does: children are stopped first."""
    for number in stop_signals():
        if number != signal.SIGINT:
            signal.signal(number, _leave)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put a wish to stop off until a child that was begun is known, and can be stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = stop_signals()
    before = [signal.signal(number, lambda each, _: came.append(each)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _leave(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would end the stopping
    sys.exit(_SHELLS_SIGNALS + number)


def wait_until(condition: Callable[[], bool], child: Child, seconds: float, what: str) -> None:
    """Wait for a condition that a living child brings about.

    Raises:
        Died: the child ended, or the time is over.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        child.check()
        if time.monotonic() > deadline:
            raise Died(f"{child.name}: {what} did not happen in {seconds:.0f} s\n{child.tail()}")
        time.sleep(0.05)
