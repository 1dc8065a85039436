"""A new gateway.toml on trial: kept once the head end has answered, else the old one returns.

Theory of operation
-------------------
::

    old ──try_out──→ trial (starts counted) ──keep──→ new
                          └── fall_back: no answer in time, no start, too many starts ──→ old

Beside gateway.toml lie ``gateway.toml.before``, the old one while the new one is tried, and
``gateway.toml.trial``, which says for which command, what its SHA-256 is, how often the program
has begun with it, and why it was given up. Every file is put in place as one durable step, in an
order in which a power cut between any two leads to the old file or to the trial, never to neither.
Going back is a rename and needs no room on the disk.

That a broker takes the connection proves little: it may be a stranger's, or the topics may be none
that anybody reads. What counts is the time that the authority signs for a nonce of this run, with
one of the keys that a configuration cannot change.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from hesper_gateway.config import GatewayConfig, load
from hesper_gateway.database import DATABASE_NAME, held
from hesper_gateway.errors import ConfigError
from hesper_gateway.own.restart import RestartWanted
from hesper_gateway.secrets_files import put

log = logging.getLogger(__name__)

MOST_STARTS = 3


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    command: str
    digest: str
    starts: int = 0
    given_up: str = ""


def digest_of(text: str) -> str:
    """Return the SHA-256 that a file has with this text in it, hex."""
    return hashlib.sha256(text.encode()).hexdigest()


class ConfigurationFile:
    """gateway.toml, and what lies beside it while another is tried.

    Args:
        path: The file that the program was started with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._before = self.path.with_name(path.name + ".before")
        self._note_file = self.path.with_name(path.name + ".trial")

    def digest(self) -> str:
        """Return the SHA-256 of the file as it is, hex."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    @property
    def is_on_trial(self) -> bool:
        """Whether the file in place still has to prove itself."""
        note = self._note()
        return note is not None and not note.given_up and self.digest() == note.digest

    def try_out(self, text: str, command: str) -> None:
        """Put another file in place, on trial; the next start decides.

        Raises:
            OSError: the folder cannot be written; the old file is in place.
        """
        digest = digest_of(text)
        put(self._before, self.path.read_bytes())
        self._write(_Note(command=command, digest=digest))
        try:
            put(self.path, text.encode())
        except OSError:
            self.keep()
            raise

    def begin(self) -> GatewayConfig:
        """Return the configuration for this start, falling back if the trial is over.

        Raises:
            ConfigError: the file that holds cannot be used.
            DatabaseInUse: an agent is running, whose trial this is; nothing was counted.
        """
        note = self._note()
        if note is None:
            return load(self.path)
        self._require_alone()
        if note.given_up:
            self._put_back()
        elif self.digest() != note.digest:
            self.fall_back("it was not put in place whole, or replaced by hand")
        elif note.starts >= MOST_STARTS:
            self.fall_back(f"the head end did not answer in {MOST_STARTS} starts")
        else:
            try:
                self._write(msgspec.structs.replace(note, starts=note.starts + 1))
                return load(self.path)
            except OSError as error:
                self.fall_back(f"its starts cannot be counted: {error.strerror}")
            except ConfigError as error:
                self.fall_back(str(error))
        return load(self.path)

    def _require_alone(self) -> None:
        """Refuse to begin beside an agent that runs; no configuration changes its state folder."""
        try:
            state = load(self.path).state
        except ConfigError:
            return  # with such a file none runs
        with held(state / DATABASE_NAME):
            return

    def keep(self) -> None:
        """End the trial: the file in place stays."""
        self._note_file.unlink(missing_ok=True)
        self._before.unlink(missing_ok=True)

    def fall_back(self, why: str) -> None:
        """End the trial: the old file is put back, and the reason noted for the command."""
        note = self._note()
        if note is not None and not note.given_up:
            try:
                self._write(msgspec.structs.replace(note, given_up=why))
            except OSError:
                log.exception("%s goes back without a note: %s", self.path, why)
            self._put_back()

    def given_up(self, command: str) -> str | None:
        """Return why what a command brought was given up; None if it was not."""
        note = self._note()
        if note is None or note.command != command:
            return None
        is_another = self.digest() != note.digest
        return note.given_up or ("another file is in place" if is_another else None)

    def _put_back(self) -> None:
        """Put the old file back, unless somebody put a third one in place meanwhile."""
        note = self._note()
        if self._before.exists() and note is not None and self.digest() == note.digest:
            self._before.replace(self.path)

    def _note(self) -> _Note | None:
        try:
            return msgspec.json.decode(self._note_file.read_bytes(), type=_Note)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, note: _Note) -> None:
        put(self._note_file, msgspec.json.encode(note))


class Trial:
    """Waits for the head end while a new file is on trial; `run` it as a task.

    Attributes:
        settled: Set as soon as the file in place is the one that stays.
    """

    def __init__(self, file: ConfigurationFile, within_s: float) -> None:
        self.file = file
        self.settled = asyncio.Event()
        self._within_s = within_s

    async def run(self, answered: Callable[[], Awaitable[object]]) -> None:
        """Keep the file once the head end has answered, which `answered` waits for.

        Raises:
            RestartWanted: it did not come to that; the old file is back.
        """
        if self.file.is_on_trial:
            try:
                async with asyncio.timeout(self._within_s):
                    await answered()
            except TimeoutError:
                why = f"the head end did not answer within {self._within_s:.0f} s"
                self.file.fall_back(why)
                raise RestartWanted(why) from None
            self.file.keep()
        self.settled.set()
