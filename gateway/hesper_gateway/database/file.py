"""The file itself: how it is opened and made, kept to one agent, and known as damaged or lost."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hesper_gateway.database.errors import DatabaseDamaged, DatabaseError, DatabaseInUse

DATABASE_NAME = "gateway.db"
CONNECTION_SETTINGS = {
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "foreign_keys": ("ON", 1),
    "busy_timeout": ("5000", 5000),
    "cache_size": ("-512", -512),
    "wal_autocheckpoint": ("256", 256),
}
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
        raise classed(path, error) from error
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


def classed(path: Path, error: sqlite3.DatabaseError) -> DatabaseError:
    """Returns what SQLite says as an error of ours: damage, or any other."""
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
    lock = lock_path(path)
    try:
        known = locked(lock) if lock.exists() else None
    except OSError as error:
        raise DatabaseError(f"{lock}: {error.strerror}") from error
    if known is None:  # no agent has ever run; the lock is its account's to make
        yield
        return
    with known:
        yield


def lock_path(path: Path) -> Path:
    """Returns the file that is locked while a database is open."""
    return path.with_name(path.name + ".lock")


def locked(path: Path) -> BinaryIO:
    """Returns an open file that keeps a second agent out; a killed one leaves no lock behind."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise DatabaseInUse(f"{path.with_suffix('')} is in use by another process") from error
    return file


def open_pair(path: Path, lost: str | None) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Opens the file to write and to read, its tables made or looked at.

    Raises:
        DatabaseDamaged: malformed, or gone though there was one.
        DatabaseError: not a database, or of another release.
    """
    writer = connect(path)
    try:
        _create(writer, path, lost)
        return writer, connect(path)
    except sqlite3.DatabaseError as error:
        writer.close()
        raise classed(path, error) from error
    except DatabaseError:
        writer.close()
        raise


def setting(connection: sqlite3.Connection, name: str) -> str | None:
    """Returns what the database notes under a name; None where it notes nothing."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None
