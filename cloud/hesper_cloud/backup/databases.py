"""Copies of SQLite databases, taken by SQLite's own online backup while others write."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from hesper_cloud.backup.manifest import BackupError


def file_of(url: str) -> Path | None:
    """Returns the file of a SQLite database; None when another server holds it."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database:
        return None
    return Path(address.database)


def copy(source: Path, target: Path) -> dict[str, dict[str, Any]]:
    """Copies a database; returns row count and digest of each table of the copy.

    Raises:
        BackupError: it cannot be read, or the copy is not sound.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
            closing(sqlite3.connect(target)) as made,
        ):
            live.backup(
                made
            )  # in one step, which waits for nobody (WAL); more begin anew at a write
            made.execute("PRAGMA journal_mode=DELETE")
        target.chmod(0o600)
        return measured(target)
    except sqlite3.Error as error:
        raise BackupError(f"{source}: {error}") from error


def measured(path: Path) -> dict[str, dict[str, Any]]:
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
