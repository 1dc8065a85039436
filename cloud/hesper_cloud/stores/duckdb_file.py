"""The embedded store's file: its one writing connection, what is remembered of it, snapshots."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from hesper_cloud.stores import duckdb_day_sums as day_sums
from hesper_cloud.stores import duckdb_lineage
from hesper_cloud.stores.duckdb_schema import (
    ISLANDS,
    NEWEST_COMMIT,
    ROW_GROUP,
    Catalogue,
    create_tables,
)
from hesper_cloud.stores.duckdb_sealed import Damaged, Folder, SealedFile
from hesper_cloud.stores.duckdb_snapshot import Snapshot, manifest
from hesper_cloud.stores.errors import StoreInUse
from hesper_cloud.stores.high_water import HighWater
from hesper_cloud.stores.machine_memory import usable_octets
from hesper_cloud.stores.port import StoreUnavailable
from hesper_cloud.stores.sequences import MOST_INTERVALS, StoredSequences

log = logging.getLogger(__name__)

_LOG_MIB = 256  # with DuckDB's own 16 every second group of batches rewrites parts of the file
_RENEW_ROWS = 1 << 25  # while its file is open, DuckDB remembers some 4 octets about each new row
_NAME = "store"
_LOCKED = "Could not set lock on file"
_LEAST_MEMORY_MIB, _MOST_MEMORY_MIB = 512, 2048
_MARKS = """
    SELECT profile, meter, max(mark) AS mark FROM (
        SELECT profile, meter, max(captured_at) AS mark FROM readings GROUP BY ALL
        UNION ALL SELECT * FROM marks) GROUP BY ALL"""


class DuckDbFile:
    """One database file with its folder of sealed days.

    Attributes:
        lock: Held by whoever writes.
        commit_number: Number of the newest commit of readings.
        grown: Rows that were written since the file was opened.
        lineage: What cursors of the change feed mean in this store.
        sealed: The sealed files that count, for the writer; readers have their snapshot's.
        listed: The same for a glance of a reader; None while a transaction is changing them.
    """

    listed: Sequence[SealedFile] | None = None

    def __init__(self, path: Path, memory_mib: int) -> None:
        self.path = path
        self._memory_mib = memory_mib
        self.lock = threading.RLock()
        self._door = threading.Lock()  # held by whoever begins or ends reading
        self._readers = 0
        self.folder = Folder(path.with_suffix(".sealed"))
        self._open()

    def _open(self) -> None:
        self.grown, self._sound = 0, True
        try:
            self.connection = attached(self.path, self._memory_mib)
            create_tables(self.connection)
            self.learn()
            self._check_age()
            self.folder.clear_up(self._all_sealed())
            for damage in self.folder.check_lengths(self.sealed):
                self.set_aside(damage)
        except (duckdb.Error, OSError) as error:
            self._sound = False
            raise unavailable(self.path, error) from error

    def learn(self) -> None:
        """Reads keys, marks, stored batch ids and sealed files from the file."""
        self.catalogue = Catalogue(self.connection)
        self.lineage = duckdb_lineage.learn(self.connection)
        islands = self.connection.execute(ISLANDS, [MOST_INTERVALS])
        self.stored = StoredSequences(islands.fetchall())
        self.commit_number = self.connection.execute(NEWEST_COMMIT).fetchall()[0][0] or 0
        self.sealed = self.listed = manifest(self.connection)
        self.high_water = HighWater()
        marks = self.connection.execute(_MARKS).fetchnumpy()
        for profile in np.unique(marks["profile"]):
            of_profile = marks["profile"] == profile
            self.high_water.raise_to(
                int(profile), marks["meter"][of_profile], marks["mark"][of_profile]
            )

    def _check_age(self) -> None:
        """Refuses a database that is older than its folder, whose files would seem leftovers."""
        for path in self.folder.unnamed(self._all_sealed()):
            try:
                query = "SELECT max(commit_number) FROM read_parquet(?)"
                newest = self.connection.execute(query, [str(path)]).fetchall()[0][0]
            except duckdb.Error as error:
                log.warning("leftover %s cannot be read and is removed: %s", path.name, error)
                continue
            if (newest or 0) > self.commit_number:
                self.connection.close()
                raise StoreUnavailable(
                    f"{self.path} is older than its sealed days: it does not know {path.name};"
                    " restore both together, or move the folder away"
                )

    def _all_sealed(self) -> list[SealedFile]:
        return [SealedFile(*row) for row in self.connection.execute("FROM sealed").fetchall()]

    def faults(self) -> list[SealedFile]:
        """Returns the files that were set aside."""
        with self.cursor() as cursor:
            rows = cursor.execute("SELECT * FROM sealed WHERE aside IS NOT NULL").fetchall()
        return [SealedFile(*row) for row in rows]

    def set_aside(self, damage: Damaged) -> None:
        """Takes a damaged file out of what is read; its rows may come again from the meters."""
        with self.lock:
            found = [file for file in self.sealed if file.name == damage.name]
            if not found:
                return
            log.critical("sealed readings %s; set aside", damage)
            with self.naming() as connection:
                connection.execute(
                    "UPDATE sealed SET aside = ? WHERE name = ?", [damage.why, damage.name]
                )
                day_sums.forget(connection, (found[0].start, found[0].end))
            self.folder.set_aside(damage.name)

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Commits at the end; whatever goes wrong leaves no transaction behind."""
        with self.lock:
            if not self._sound:
                let_go(self.connection)
                self._open()
            elif self.grown >= _RENEW_ROWS:
                self._renew()
            committed = False
            self.connection.begin()
            try:
                yield self.connection
                self.connection.commit()
                committed = True
            finally:
                if not committed:
                    self._roll_back()

    def _renew(self) -> None:
        """Opens the file anew, unless somebody reads: DuckDB forgets what it held about rows."""
        with self._door:
            if self._readers:
                return
            self._sound = False
            try:
                self.connection.close()
                self.connection = attached(self.path, self._memory_mib)
            except duckdb.Error as error:
                raise StoreUnavailable(f"{self.path}: {error}") from error
            self.catalogue.connection = self.connection
            self.grown, self._sound = 0, True

    def forget_deleted(self) -> None:
        """Writes the log into the file, after which no reader passes over deleted rows any more."""
        with self.lock:
            self.connection.execute("CHECKPOINT")

    @contextmanager
    def naming(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Is a transaction after which other sealed files count."""
        with self.lock:  # no write between a commit and what the writer knows of it
            self.listed = None
            with self.transaction() as connection:
                yield connection
            self.sealed = self.listed = manifest(self.connection)

    def confirms(self, view: Snapshot) -> bool:
        """Says whether a view saw the sealed files that belong to its rows."""
        return not view.is_glance or view.listed is self.listed

    def _roll_back(self) -> None:
        """Rolls back; where even that fails, the file is opened anew before the next write."""
        try:
            self.connection.rollback()
            self.learn()
        except duckdb.Error as error:
            log.warning("%s has to be opened anew: %s", self.path, error)
            self._sound = False

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yields a cursor for one reader."""
        try:
            with self._door:
                cursor = self.connection.cursor()
                self._readers += 1
            try:
                with closing(cursor):
                    cursor.execute(f"USE {_NAME}")
                    yield cursor
            finally:
                with self._door:
                    self._readers -= 1
        except duckdb.Error as error:
            raise StoreUnavailable(str(error)) from error

    @contextmanager
    def snapshot(self, *, glance: bool = False) -> Iterator[Snapshot]:
        """Yields a consistent view; a damaged file that is met is set aside.

        A glance spares the question which files count, and has to be confirmed at the end.

        Raises:
            StoreUnavailable: the view cannot be had now; asking again may give it.
        """
        try:
            with self.folder.reading(), self.cursor() as cursor:
                cursor.begin()
                files = self.listed if glance else None
                view = Snapshot(cursor, self.catalogue, self.folder, files)
                try:
                    yield view
                except (duckdb.Error, pa.ArrowException, OSError) as error:
                    self.folder.check(view.used, anew=True)
                    raise StoreUnavailable(str(error)) from error
        except Damaged as damage:
            self.set_aside(damage)
            raise StoreUnavailable(str(damage)) from damage

    def close(self) -> None:
        """Writes the log into the file and closes it, once nobody reads any more."""
        with self.lock:
            let_go(self.connection)


def unavailable(path: Path, error: Exception) -> StoreUnavailable:
    """Returns what to raise where a file cannot be opened: StoreInUse if another process has it."""
    kind = StoreInUse if _LOCKED in str(error) else StoreUnavailable
    return kind(f"{path}: {error}")


def usual_memory_mib() -> int:
    """Returns a quarter of the memory of machine or container in MiB, within reason.

    By itself DuckDB keeps all that it has written in memory, up to four fifths of the machine's.
    """
    return min(max(usable_octets() >> 22, _LEAST_MEMORY_MIB), _MOST_MEMORY_MIB)


def let_go(connection: duckdb.DuckDBPyConnection) -> None:
    """Closes a connection; whoever reads with a cursor of it goes on, and then the file is closed.

    DuckDB 2 raises where somebody does, and has closed the connection nevertheless.
    """
    try:
        connection.close()
    except duckdb.OperationalError as error:
        log.info("a database is closed while it is read: %s", error)


def attached(path: Path, memory_mib: int) -> duckdb.DuckDBPyConnection:
    """Opens a database file with row groups small enough for one write of a group of batches.

    DuckDB lets nobody choose them where a file is opened by its name alone.
    """
    connection = duckdb.connect()
    try:
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute(f"SET memory_limit = '{memory_mib:d}MiB'")
        connection.execute(f"SET checkpoint_threshold = '{_LOG_MIB:d}MiB'")
        connection.execute("SET temp_directory = ?", [f"{path}.tmp"])
        name = str(path).replace("'", "''")
        connection.execute(f"ATTACH '{name}' AS {_NAME} (ROW_GROUP_SIZE {ROW_GROUP:d})")
        connection.execute(f"USE {_NAME}")
    except duckdb.Error:
        connection.close()
        raise
    return connection
