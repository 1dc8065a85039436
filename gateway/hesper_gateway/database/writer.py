"""The open file with the thread that writes it; the package tells why it is as it is."""

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hesper_gateway.ballast import BALLAST_OCTETS, Ballast
from hesper_gateway.database.errors import (
    DatabaseDamaged,
    DatabaseError,
    JobRefused,
    StorageFull,
)
from hesper_gateway.database.file import (
    classed,
    damaged_mark,
    lock_path,
    locked,
    open_pair,
    setting,
)

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

MOST_JOBS_PER_COMMIT = 200
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
_FAILING = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
}
_TOUCH = (
    "INSERT INTO settings VALUES ('touched', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
)


@dataclass(frozen=True, slots=True)
class _Pending:
    job: Job[Any]
    outcome: "Future[Any]"


class Database:
    """The open file with its writer thread and one connection for reading.

    Args:
        path: The database file; its folder is created. The ballast lies beside it.
        ballast_octets: Size of the ballast; 0 for none.
        lost: Why the one before it is lost, where this is made in its place.

    Attributes:
        lost: The same of a database that is open; None when there was none before it.
        failing: What the card says since it takes no writes; empty while it does.

    Raises:
        DatabaseDamaged: malformed, or gone though there was one.
        DatabaseError: not a database, of another release, in use by another process, or on a card
            that takes no writes.
    """

    def __init__(
        self, path: Path, ballast_octets: int = BALLAST_OCTETS, lost: str | None = None
    ) -> None:
        self.path = path
        self.ballast = Ballast(path.with_name(path.name + ".ballast"), ballast_octets)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = locked(lock_path(path))
        except OSError as error:
            raise DatabaseError(f"{path}: {error.strerror}") from error
        try:
            self._writer, self._reader = open_pair(path, lost)
        except DatabaseDamaged:
            self._lock_file.close()
            raise
        except DatabaseError:
            if not self.ballast.drop():
                self._lock_file.close()
                raise
            self._writer, self._reader = open_pair(path, lost)
        self.lost = setting(self._reader, "lost")
        self.failing = ""
        if ballast_octets:
            self.ballast.restore()
        self._reader_lock = threading.Lock()
        self._closed = False
        self._jobs: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> "Future[T]":
        """Queues a job for the writer; the future resolves after its durable commit."""
        outcome: Future[T] = Future()
        if self._closed:
            raise DatabaseError(f"{self.path} is closed")
        self._jobs.put(_Pending(job, outcome))
        return outcome

    async def write(self, job: Job[T]) -> T:
        """Runs a job in the writer; what it wrote is durable when this returns.

        A cancelled caller does not undo it: the job may still be committed.

        Raises:
            StorageFull: nothing of the job was written.
        """
        return await asyncio.shield(asyncio.wrap_future(self.submit(job)))

    async def require_writes(self) -> None:
        """Pass while the card takes writes; one that took none is tried again.

        Raises:
            StorageFull: it still takes none.
        """
        if self.failing:
            await self.write(lambda connection: connection.execute(_TOUCH))

    def read(self, job: Job[T]) -> T:
        """Runs a job that only reads, at once, in the calling thread; sees committed rows only."""
        with self._reader_lock:
            try:
                return job(self._reader)
            except sqlite3.DatabaseError as error:
                raise self._noted(error) from error

    def close(self) -> None:
        """Commits what is waiting and closes the file; closing twice is harmless."""
        self._jobs.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()
        self._lock_file.close()

    def _run(self) -> None:
        try:
            while self._commit(self._next_group()):
                pass
        except DatabaseDamaged:
            log.exception("the database is damaged")
        finally:
            self._closed = True
            while not self._jobs.empty():
                if left := self._jobs.get():
                    left.outcome.set_exception(DatabaseError(f"{self.path} is closed"))

    def _next_group(self) -> list[_Pending | None]:
        """Waits for one job, then takes all that wait; None marks the end and comes last."""
        group = [self._jobs.get()]
        while group[-1] is not None and len(group) < MOST_JOBS_PER_COMMIT:
            try:
                group.append(self._jobs.get_nowait())
            except queue.Empty:
                break
        return group

    def _commit(self, taken: list[_Pending | None]) -> bool:
        """Commits a group, on a full disk without the ballast, then singly; False at the end."""
        group = [pending for pending in taken if pending is not None]
        try:
            outcomes = self._attempt(group)
            if _disk_full(outcomes) and self.ballast.drop():
                outcomes = self._attempt(group)
            if _disk_full(outcomes) and not self.failing:
                outcomes = [self._attempt([pending])[0] for pending in group]
        except BaseException as error:
            for pending in group:
                pending.outcome.set_exception(error)
            raise
        for pending, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                pending.outcome.set_exception(outcome)
            else:
                pending.outcome.set_result(outcome)
        return taken[-1] is not None

    def _attempt(self, group: list[_Pending]) -> list[Any]:
        """Runs and commits a group; each outcome is a result, a refusal or `StorageFull`."""
        connection = self._writer
        written = connection.total_changes
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._in_savepoint(pending.job) for pending in group]
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return [self._refused(error)] * len(group)
        if self.failing and connection.total_changes != written:
            log.warning("%s: the card takes writes again", self.path)
            self.failing = ""
        return outcomes

    def _refused(self, error: sqlite3.DatabaseError) -> StorageFull:
        """Returns what jobs end with whose transaction the disk did not take; raises all else."""
        if error.sqlite_errorcode in _FULL:
            return StorageFull(str(error))
        if error.sqlite_errorcode not in _FAILING:
            raise self._noted(error) from error
        why = f"the card takes no writes: {error}"
        if not self.failing:
            log.critical("%s: %s", self.path, why)
        self.failing = why
        return StorageFull(why)

    def _noted(self, error: sqlite3.DatabaseError) -> Exception:
        """Returns what to raise, after a damaged file was noted for the next start."""
        found = classed(self.path, error)
        if not isinstance(found, DatabaseDamaged):
            return error
        with suppress(OSError):  # on a card that takes no writes the next start finds it anew
            damaged_mark(self.path).write_text(str(found), encoding="utf-8")
        return found

    def _in_savepoint(self, job: Job[Any]) -> Any:
        self._writer.execute("SAVEPOINT job")
        outcome: Any
        try:
            outcome = job(self._writer)
        except JobRefused as refusal:
            self._writer.execute("ROLLBACK TO job")
            outcome = refusal
        self._writer.execute("RELEASE job")
        return outcome


def _disk_full(outcomes: list[Any]) -> bool:
    return any(isinstance(outcome, StorageFull) for outcome in outcomes)
