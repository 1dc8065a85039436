"""Copies the embedded store while it is written to, and builds one anew from a copy.

A copy is taken from one snapshot: the tables as Parquet, the sealed files as they are. Each part
carries its row count and a digest that does not depend on the order of the rows.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import duckdb

from hesper_cloud.stores import duckdb_lineage
from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_schema import NEWEST_COMMIT, create_tables
from hesper_cloud.stores.duckdb_snapshot import manifest
from hesper_cloud.stores.port import StoreUnavailable

TABLES = (
    *("readings", "revisions", "newest", "marks", "sealed", "commit_floor", duckdb_lineage.TABLE),
    *("batches", "meters", "profiles", "layouts"),
)
SEALED = "sealed"
_SKIPPED_COMMITS = 1_000_000_000
"""A store that was restored numbers its commits from here on, so that none is like another."""

Parts = dict[str, dict[str, int | str]]


def copy_to(file: DuckDbFile, folder: Path) -> Parts:
    """Copies the store into an empty folder; returns row count and digest of each table.

    Raises:
        StoreUnavailable: the store cannot be read, or the folder not be written.
    """
    try:
        (folder / SEALED).mkdir(parents=True)
        with file.snapshot() as view:
            parts = copy_tables(view.cursor, TABLES, folder)
            for sealed in manifest(view.cursor):
                file.folder.check([sealed], anew=True)  # a damaged file is no backup of its days
                shutil.copy2(file.folder.path / sealed.name, folder / SEALED / sealed.name)
    except (duckdb.Error, OSError) as error:
        raise StoreUnavailable(str(error)) from error
    return parts


def copy_tables(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[str], folder: Path
) -> Parts:
    """Copies tables, as the connection's transaction sees them, into Parquet files."""
    parts: Parts = {}
    for table in tables:
        parts[table] = _measured(connection, table)
        target = str(_parquet(folder, table)).replace("'", "''")
        connection.execute(
            f"COPY (SELECT * FROM {table}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"  # noqa: S608 - our own table names
        )
    return parts


def fill_tables(
    connection: duckdb.DuckDBPyConnection, tables: Iterable[str], folder: Path
) -> Parts:
    """Fills empty tables from their Parquet files; returns what they hold, for comparison."""
    parts: Parts = {}
    for table in tables:
        source = str(_parquet(folder, table)).replace("'", "''")
        rows = f"SELECT * FROM read_parquet('{source}')"  # noqa: S608 - a path of ours
        connection.execute(f"INSERT INTO {table} BY NAME {rows}")
        parts[table] = _measured(connection, table)
    return parts


def build(folder: Path, path: Path) -> Parts:
    """Builds a store at ``path``, which must not exist; returns what it holds, for comparison."""
    connection = duckdb.connect(str(path))
    try:
        create_tables(connection)
        without = () if _parquet(folder, duckdb_lineage.TABLE).exists() else (duckdb_lineage.TABLE,)
        parts = fill_tables(connection, [each for each in TABLES if each not in without], folder)
        newest = connection.execute(NEWEST_COMMIT).fetchall()[0][0] or 0
        connection.execute("INSERT INTO commit_floor VALUES (?)", [newest + _SKIPPED_COMMITS])
        duckdb_lineage.begin_anew(connection, newest)
    except duckdb.Error as error:
        raise StoreUnavailable(f"{folder}: {error}") from error
    finally:
        connection.close()
    shutil.copytree(folder / SEALED, path.with_suffix(".sealed"), dirs_exist_ok=True)
    return parts


def newest_batches(path: Path) -> dict[str, dict[str, int]]:
    """Returns the newest stored sequence of each outbox: gateway → epoch → sequence."""
    connection = duckdb.connect(str(path), read_only=True)
    try:
        query = "SELECT gateway, epoch, max(sequence) FROM batches GROUP BY ALL"
        found: dict[str, dict[str, int]] = {}
        for gateway, epoch, newest in connection.execute(query).fetchall():
            found.setdefault(gateway, {})[epoch] = newest
    except duckdb.Error as error:
        raise StoreUnavailable(f"{path}: {error}") from error
    finally:
        connection.close()
    return found


def _parquet(folder: Path, table: str) -> Path:
    return folder / f"{table}.parquet"


def _measured(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, int | str]:
    query = f"SELECT count(*), bit_xor(md5_number(t::VARCHAR))::VARCHAR FROM {table} AS t"  # noqa: S608 - our own table names
    count, digest = connection.execute(query).fetchall()[0]
    return {"rows": int(count), "digest": digest or ""}
