"""The gateway's one SQLite file: outbox, progress, invocation counters and command journal.

Theory of operation
-------------------
A gateway loses power without warning, on an SD card that wears out and may be full. So:

- Write-ahead log with ``synchronous=FULL``: a write that was acknowledged survives a power cut.
  WAL with NORMAL, and a rollback journal with FULL, were both seen to lose acknowledged rows.
  SQLite silently ignores a pragma that it cannot apply, so each is read back on every connection.
- One writer thread. It takes everything that is waiting, runs each job in a savepoint of its own
  and commits them together (group commit): one synchronisation of the card for many appends.
  A job's result is delivered only after that commit. A job that fails rolls back alone.
- A damaged file is not repaired. What SQLite calls malformed, at the start or later, is noted in a
  file beside it and ends the process; `replacement` moves it aside at the next start.
- A ballast file. On a full disk SQLite cannot even delete. The ballast is then removed and the
  group tried once more, so that the outbox can still drain and a command can still be journalled.

Jobs are plain functions of a connection; they must not commit, and may run twice. A job says no by
raising a `JobRefused`; anything else it raises is our bug and ends the writer, and so the process.
"""

import asyncio
import fcntl
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from hesper_gateway.ballast import BALLAST_OCTETS, Ballast
from hesper_gateway.errors import GatewayError

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

DATABASE_NAME = "gateway.db"
MOST_JOBS_PER_COMMIT = 200
CONNECTION_SETTINGS = {
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "foreign_keys": ("ON", 1),
    "busy_timeout": ("5000", 5000),
    "cache_size": ("-512", -512),
    "wal_autocheckpoint": ("256", 256),
}
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_WRITE}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}
_CHECKED = ("settings", "progress", "counters", "commands", "cuts", "released")
"""Small, and what would do harm when it is wrong; batches are looked at when they are read."""
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE batches (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, appended_at INTEGER NOT NULL,
    payload BLOB NOT NULL);
CREATE TABLE released (
    sequence INTEGER PRIMARY KEY, verdict TEXT NOT NULL, reason TEXT NOT NULL);
CREATE VIEW backlog AS SELECT * FROM batches b
    WHERE NOT EXISTS (SELECT 1 FROM released r WHERE r.sequence = b.sequence);
CREATE TABLE settings (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE progress (
    meter TEXT NOT NULL, profile BLOB NOT NULL, captured_at INTEGER NOT NULL,
    PRIMARY KEY (meter, profile)) WITHOUT ROWID;
CREATE TABLE counters (
    meter TEXT NOT NULL, key_name TEXT NOT NULL, reserved INTEGER NOT NULL,
    PRIMARY KEY (meter, key_name)) WITHOUT ROWID;
CREATE TABLE commands (
    command_id TEXT PRIMARY KEY, counter INTEGER NOT NULL, digest BLOB NOT NULL,
    command BLOB NOT NULL, state TEXT NOT NULL, result BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE cuts (id INTEGER PRIMARY KEY, at REAL NOT NULL);
"""


class JobRefused(GatewayError):
    """A job changed nothing, on purpose; only this job is rolled back."""


class DatabaseError(GatewayError):
    """The database cannot be trusted or opened; a person must look at it."""


class DatabaseInUse(DatabaseError):
    """Another process, the agent most likely, has it open; nothing was touched."""


class DatabaseDamaged(DatabaseError):
    """The file, or the card below it, gives back other than what was written."""


class StorageFull(GatewayError):
    """The disk is full even without the ballast; try again when there is room."""


@dataclass(frozen=True, slots=True)
class _Pending:
    job: Job[Any]
    outcome: "Future[Any]"


def connect(path: Path) -> sqlite3.Connection:
    """Opens the file with every pragma set and read back.

    Raises:
        DatabaseError: when SQLite did not take a setting, or the file is not a database.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for name, (wanted, expected) in CONNECTION_SETTINGS.items():
            connection.execute(f"PRAGMA {name}={wanted}").fetchall()
            (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
            if actual != expected:
                raise DatabaseError(f"{path}: SQLite keeps {name}={actual}, not {wanted}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _classed(path, error) from error
    except DatabaseError:
        connection.close()
        raise
    return connection


def made_mark(path: Path) -> Path:
    """Returns the file that says that there was a database here once."""
    return path.with_name(path.name + ".made")


def damaged_mark(path: Path) -> Path:
    """Returns the file that says that the database was found damaged, and how."""
    return path.with_name(path.name + ".damaged")


def _create(connection: sqlite3.Connection, path: Path, lost: str | None) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        if lost is None and made_mark(path).exists():
            raise DatabaseDamaged(f"{path}: there was a database here, it is gone")
        _create_tables(connection, lost)
    elif version != SCHEMA_VERSION:
        raise DatabaseError(
            f"{path}: schema version {version}, this program knows {SCHEMA_VERSION}"
        )
    for table in _CHECKED:
        (said,) = connection.execute(f"PRAGMA quick_check({table})").fetchone()
        if said != "ok":
            raise DatabaseDamaged(f"{path}: table {table}: {said}")
    if not made_mark(path).exists():
        made_mark(path).touch()


def _create_tables(connection: sqlite3.Connection, lost: str | None) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("INSERT INTO settings VALUES ('new_journal', 1)")
    if lost is not None:
        connection.execute("INSERT INTO settings VALUES ('lost', ?)", (lost,))
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    connection.execute("COMMIT")


def _classed(path: Path, error: sqlite3.DatabaseError) -> DatabaseError:
    code = getattr(error, "sqlite_errorcode", 0)  # absent where Python itself raises
    damaged = code in _DAMAGED or code & 0xFF in _DAMAGED
    return (DatabaseDamaged if damaged else DatabaseError)(f"{path}: {error}")


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keeps every agent of this database, and its lines, out while the context lasts.

    Raises:
        DatabaseInUse: an agent is running.
        DatabaseError: that cannot be known, as its files belong to another account.
    """
    lock = _lock_path(path)
    try:
        known = _locked(lock) if lock.exists() else None
    except OSError as error:
        raise DatabaseError(f"{lock}: {error.strerror}") from error
    if known is None:  # no agent has ever run; the lock is its account's to make
        yield
        return
    with known:
        yield


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _locked(path: Path) -> BinaryIO:
    """Returns an open file that keeps a second agent out; a killed one leaves no lock behind."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise DatabaseInUse(f"{path.with_suffix('')} is in use by another process") from error
    return file


def _open_pair(path: Path, lost: str | None) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    writer = connect(path)
    try:
        _create(writer, path, lost)
        return writer, connect(path)
    except sqlite3.DatabaseError as error:
        writer.close()
        raise _classed(path, error) from error
    except DatabaseError:
        writer.close()
        raise


class Database:
    """The open file with its writer thread and one connection for reading.

    Args:
        path: The database file; its folder is created. The ballast lies beside it.
        ballast_octets: Size of the ballast; 0 for none.
        lost: Why the one before it is lost, where this is made in its place.

    Attributes:
        lost: The same of a database that is open; None when there was none before it.

    Raises:
        DatabaseDamaged: malformed, or gone though there was one.
        DatabaseError: not a database, of another release, or in use by another process.
    """

    def __init__(
        self, path: Path, ballast_octets: int = BALLAST_OCTETS, lost: str | None = None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.ballast = Ballast(path.with_name(path.name + ".ballast"), ballast_octets)
        self._lock_file = _locked(_lock_path(path))
        try:
            self._writer, self._reader = _open_pair(path, lost)
        except DatabaseDamaged:
            self._lock_file.close()
            raise
        except DatabaseError:
            if not self.ballast.drop():
                self._lock_file.close()
                raise
            self._writer, self._reader = _open_pair(path, lost)
        self.lost = _setting(self._reader, "lost")
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
            if _disk_full(outcomes):
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
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._in_savepoint(pending.job) for pending in group]
            connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if error.sqlite_errorcode not in _FULL:
                raise self._noted(error) from error
            return [StorageFull(str(error)) for _ in group]
        return outcomes

    def _noted(self, error: sqlite3.DatabaseError) -> Exception:
        """Returns what to raise, after a damaged file was noted for the next start."""
        classed = _classed(self.path, error)
        if not isinstance(classed, DatabaseDamaged):
            return error
        damaged_mark(self.path).write_text(str(classed), encoding="utf-8")
        return classed

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


def _setting(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def _disk_full(outcomes: list[Any]) -> bool:
    return any(isinstance(outcome, StorageFull) for outcome in outcomes)
