"""What `hesper-gateway launch` becomes: it starts the version that counts and watches a new one.

Theory of operation
-------------------
The launcher belongs to the installation and is not replaced by an update, so that whatever an image
holds, this still runs. It starts the agent as a child with the packages of its slot first on the
path, and waits; its own imports are few, for it stays in memory. A child that asks for another
start gets it; any other end of it is the launcher's own, which the service manager answers as
always. Only while a version is on trial the launcher starts again what ended, as often as `slots`
allows, and ends what has not committed in time. The kernel ends the child when the launcher dies,
so that there are never two.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hesper_gateway.launched import AGAIN, FOLDER_VARIABLE, SLOT_VARIABLE
from hesper_gateway.update.slots import INSTALLED, Slots

log = logging.getLogger(__name__)

TRIAL_S = 900.0
FOLDER = "versions"
_ENDS_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.2
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Launcher:
    """Runs the agent; `run` it once.

    Attributes:
        slots: Which version counts.
        words: What the agent is told, from ``run`` on.
        trial_s: How long one on trial may take to prove itself.
    """

    slots: Slots
    words: tuple[str, ...]
    trial_s: float = TRIAL_S
    _child: "subprocess.Popen[bytes] | None" = None
    _is_stopped: bool = field(default=False)

    def run(self) -> int:
        """Return the agent's exit code, once it has ended for good."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while True:
            slot = self.slots.begin()
            code = self._run_once(slot)
            if self._is_stopped or (code != AGAIN and not self._is_on_trial(slot)):
                return code

    def _run_once(self, slot: str) -> int:
        """Start the agent and return its exit code; ends it when its trial takes too long."""
        on_trial = self._is_on_trial(slot)
        log.warning("starting the gateway from %s", slot or "the installation")
        ends_at = time.monotonic() + self.trial_s
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "hesper_gateway", *self.words],
            env=self._environment(slot),
            preexec_fn=partial(_die_with, os.getpid()),
        )
        if self._is_stopped:  # told so before there was anybody to pass it on to
            self._child.terminate()
        while (code := _waited(self._child)) is None:
            if on_trial and time.monotonic() > ends_at and self._is_on_trial(slot):
                _end(self._child)
                if self._is_on_trial(slot):  # it may have proven itself in its last moment
                    self.slots.give_up(f"it did not prove itself within {self.trial_s:.0f} s")
                return AGAIN
        return code

    def _is_on_trial(self, slot: str) -> bool:
        trial = self.slots.state().trial
        return trial is not None and trial.slot == slot

    def _environment(self, slot: str) -> dict[str, str]:
        environment = dict(os.environ)
        # Signs of life are the agent's to give, and it is not the process that systemd knows.
        environment.pop("WATCHDOG_PID", None)
        environment[SLOT_VARIABLE] = slot
        environment[FOLDER_VARIABLE] = str(self.slots.folder)
        if slot != INSTALLED:
            others = environment.get("PYTHONPATH")
            first = str(self.slots.path(slot))
            environment["PYTHONPATH"] = os.pathsep.join([first, others] if others else [first])
        return environment

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._is_stopped = True
        if self._child is not None:
            self._child.send_signal(number)


def folder_of(config: Path) -> Path:
    """Return where the versions of a gateway lie: beside its database.

    The file is not checked here: it may be one that only a later version understands.
    """
    try:
        document = tomllib.loads(config.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        document = {}
    state = document.get("state")
    return config.absolute().parent / (state if isinstance(state, str) else "state") / FOLDER


def _waited(child: "subprocess.Popen[bytes]") -> int | None:
    try:
        return child.wait(_LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return None


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _die_with(parent: int) -> None:
    """Have the kernel end this process with its parent; a service manager does so by itself.

    A parent that died before it could be asked for is not told of: then this ends by itself.
    """
    with suppress(ImportError, MemoryError, OSError):  # not everywhere, not under every seccomp
        import ctypes

        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _end_as(code: int) -> NoReturn:
    """End as the agent has: told to stop before it knew of signals, it was ended by one."""
    if code < 0:
        with suppress(OSError):  # of one that nobody can catch
            signal.signal(-code, signal.SIG_DFL)
        signal.raise_signal(-code)
    sys.exit(code)


def main() -> None:
    """Run the agent, as the command line says, in the version that counts."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--versions", type=Path, required=True)
    parser.add_argument("--trial", type=float, default=TRIAL_S)
    parser.add_argument("--log-level", default="info")
    told = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    words = ("run", "--config", str(told.config), "--log-level", told.log_level)
    _end_as(Launcher(Slots(told.versions), words, told.trial).run())


if __name__ == "__main__":
    main()
