"""Copies of SQLite databases, taken by SQLite's own online backup while others write.

`database` tells which kind of database a URL names; PostgreSQL is `hesper_cloud.backup.postgres`.
"""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import make_url

from hesper_cloud.backup.manifest import BackupError, Tables
from hesper_cloud.backup.postgres import PostgresDatabase

_LOGS = ("-wal", "-shm", "-journal")


class Database(Protocol):
    """A relational database that can be copied and restored; each raises BackupError."""

    ending: str
    """Of the copy's file name."""

    def copy(self, target: Path) -> Tables:
        """Copies the database into a file; returns row count and digest of each table."""
        ...

    def refuse_to_overwrite(self) -> None:
        """Refuses where something is there already."""
        ...

    def revision(self, source: Path) -> str | None:
        """Returns the newest migration that the database in such a file has seen."""
        ...

    def restore(self, source: Path) -> Tables:
        """Makes the database from such a file; returns what it holds."""
        ...

    def remove(self) -> None:
        """Removes what a restore has made."""
        ...


def database(url: str) -> Database:
    """Returns the database that a URL names.

    Raises:
        BackupError: it is of a kind that is not supported.
    """
    address = make_url(url)
    if address.get_backend_name() == "postgresql":
        return PostgresDatabase(url)
    if address.get_backend_name() != "sqlite" or not address.database:
        raise BackupError(f"{address!r} is neither a file of SQLite nor on PostgreSQL")
    return SqliteDatabase(Path(address.database))


class SqliteDatabase:
    """One database in a file."""

    ending = ".db"

    def __init__(self, path: Path) -> None:
        self._path = path

    def copy(self, target: Path) -> Tables:
        """Copies the database; returns row count and digest of each table of the copy."""
        try:
            with (
                closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as live,
                closing(sqlite3.connect(target)) as made,
            ):
                live.backup(
                    made
                )  # in one step, which waits for nobody (WAL); more begin anew at a write
                made.execute("PRAGMA journal_mode=DELETE")
            target.chmod(0o600)
            return measured(target)
        except sqlite3.Error as error:  # a full disk may be that of either
            raise BackupError(f"{self._path} into {target}: {error}") from error

    def refuse_to_overwrite(self) -> None:
        """Refuses also beside a log that was left alone: it would be played into the copy."""
        for remains in self._places():
            if remains.exists():
                raise BackupError(f"{remains} is there already; restore into an empty folder")

    def revision(self, source: Path) -> str | None:
        """Returns what the copy says; None where it is of no migration."""
        try:
            with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copied:
                row = copied.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.Error as error:
            raise BackupError(f"{source}: {error}") from error
        return None if row is None else str(row[0])

    def restore(self, source: Path) -> Tables:
        """Puts a copy in place."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(source, self._path)
        self._path.chmod(0o600)
        return measured(self._path)

    def remove(self) -> None:
        """Removes the file and its logs."""
        for made in self._places():
            made.unlink(missing_ok=True)

    def _places(self) -> list[Path]:
        return [self._path, *(self._path.with_name(self._path.name + end) for end in _LOGS)]


def measured(path: Path) -> Tables:
    """Returns row count and digest of each table.

    Raises:
        BackupError: the file is not a sound database.
    """
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            verdict = database.execute("PRAGMA quick_check").fetchone()[0]
            if verdict != "ok":
                raise BackupError(f"{path}: {verdict}")
            query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            names = [row[0] for row in database.execute(query)]
            return {name: _table(database, name) for name in names}
    except sqlite3.Error as error:
        raise BackupError(f"{path}: {error}") from error


def _table(database: sqlite3.Connection, name: str) -> dict[str, Any]:
    found, count = hashlib.sha256(), 0
    quoted = name.replace('"', '""')
    for row in database.execute(f'SELECT * FROM "{quoted}" ORDER BY rowid'):  # noqa: S608 - a table's own name
        found.update(repr(row).encode())
        count += 1
    return {"rows": count, "digest": found.hexdigest()}
