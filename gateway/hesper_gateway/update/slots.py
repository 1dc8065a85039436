"""Two places for versions of the gateway, and the one file that says which of them counts.

Theory of operation
-------------------
::

    current ──try_out──→ trial (starts counted) ──commit──→ current
       ▲                     └── give_up: too many starts, time over ──┐
       └──────────────────────────────────────────────────────────────┘

A slot is a folder of unpacked packages that is put before those of the installation; what a bundle
does not bring is taken from there. The installation itself is the first current one and stays. All
that counts is in ``state.json``, replaced as one durable step: a power cut between any two steps
leaves the old version, or a trial that still has to prove itself, and the slot of the current
version is never written to.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from hesper_gateway.durable import put

log = logging.getLogger(__name__)

INSTALLED = ""
"""The slot of the installation itself."""
SLOTS = ("a", "b")
MOST_STARTS = 3
_UNPACKING = ".new"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A version on trial: where, which, for which command, and how often it was started."""

    slot: str
    version: str
    command: str
    starts: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest trial ended; ``why`` is empty for a version that stayed."""

    command: str
    version: str
    why: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Which version counts."""

    current: str = INSTALLED
    trial: Candidate | None = None
    last: Ended | None = None


class Slots:
    """The folder of versions; one process at a time changes it.

    Args:
        folder: Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._file = self.folder / "state.json"

    def state(self) -> State:
        """Return what counts; a file that cannot be read says that the installation does."""
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return State()
        return found if found.current == INSTALLED or self.path(found.current).is_dir() else State()

    def path(self, slot: str) -> Path:
        """Return where the packages of a slot are."""
        return self.folder / slot

    def begin(self) -> str:
        """Return the slot to start; counts the start of one on trial, or gives it up.

        What cannot be counted, because the disk is full, is not tried.
        """
        state = self.state()
        if state.trial is None:
            return state.current
        try:
            if state.trial.starts >= MOST_STARTS:
                self.give_up(f"it did not prove itself in {MOST_STARTS} starts")
                return state.current
            counted = msgspec.structs.replace(state.trial, starts=state.trial.starts + 1)
            self._write(msgspec.structs.replace(state, trial=counted))
        except OSError:
            log.exception("the version on trial is not started")
            return state.current
        return counted.slot

    def try_out(self, version: str, command: str, unpack: Callable[[Path], None]) -> None:
        """Fill the slot that does not count, and put what is in it on trial.

        Args:
            version: What is in it.
            command: Who asked for it.
            unpack: Fills the folder that it is given, durably.

        Raises:
            OSError: the disk does not take it; nothing has changed.
        """
        state = self.state()
        slot = next(each for each in SLOTS if each != state.current)
        fresh = self.folder / f"{slot}{_UNPACKING}"
        for left in (fresh, self.path(slot)):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            unpack(fresh)
            fresh.rename(self.path(slot))
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        candidate = Candidate(slot=slot, version=version, command=command)
        self._write(msgspec.structs.replace(state, trial=candidate))

    def commit(self) -> None:
        """Let the version on trial be the one that counts."""
        state = self.state()
        if state.trial is not None:
            ended = Ended(command=state.trial.command, version=state.trial.version)
            self._write(State(current=state.trial.slot, last=ended))

    def give_up(self, why: str) -> None:
        """End the trial: the version before it counts, as it always did."""
        state = self.state()
        if state.trial is not None:
            tried = state.trial
            ended = Ended(command=tried.command, version=tried.version, why=why)
            self._write(State(current=state.current, last=ended))

    def _write(self, state: State) -> None:
        put(self._file, msgspec.json.encode(state))
