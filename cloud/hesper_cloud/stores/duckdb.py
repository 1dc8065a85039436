"""The embedded store: one DuckDB file, one writer, bulk inserts through Arrow.

Theory of operation. `write` opens one transaction: it merges the group's blocks, inserts what is
certainly new (newer than the high-water mark of its meter and profile) straight away, compares the
rest with stored rows over exactly the time range it covers, keeps conflicting rows as revisions,
and stores the batch ids. DuckDB's commit returns after its log is on disk. A second process cannot
open the file, so everything that reads it shares this process; each read has a cursor of its own
and sees a consistent snapshot.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from hesper_contracts.batch import BatchId

from hesper_cloud.stores import duckdb_reads as reads
from hesper_cloud.stores.duckdb_schema import ISLANDS, Catalogue, create_tables
from hesper_cloud.stores.duckdb_writes import GroupWriter
from hesper_cloud.stores.high_water import HighWater
from hesper_cloud.stores.port import (
    Block,
    FleetSeries,
    Group,
    Integers,
    Reading,
    Series,
    StoreRefused,
    StoreUnavailable,
    Written,
)
from hesper_cloud.stores.rows import Rows, merge, spread
from hesper_cloud.stores.sequences import StoredSequences

log = logging.getLogger(__name__)

_REFUSALS = (duckdb.DataError, duckdb.ProgrammingError, pa.ArrowInvalid, OverflowError)


class DuckDbStore:
    """Readings in one DuckDB file; implements `hesper_cloud.stores.port.ReadingStore`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # one writer
        self._open()

    def _open(self) -> None:
        try:
            self._connection = duckdb.connect(str(self._path))
            create_tables(self._connection)
            self._learn()
        except duckdb.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error
        self._sound = True

    def _learn(self) -> None:
        """Reads keys, high-water marks and stored batch ids from the file."""
        self._catalogue = Catalogue(self._connection)
        self._stored = StoredSequences(self._connection.execute(ISLANDS).fetchall())
        self._high_water = HighWater()
        marks = self._connection.execute(
            "SELECT profile, meter, max(captured_at) AS mark FROM readings GROUP BY ALL"
        ).fetchnumpy()
        for profile in np.unique(marks["profile"]):
            of_profile = marks["profile"] == profile
            self._high_water.raise_to(
                int(profile), marks["meter"][of_profile], marks["mark"][of_profile]
            )

    def close(self) -> None:
        """Writes the log into the file and closes it."""
        with self._lock:
            self._connection.close()

    def write(self, group: Group) -> Written:
        """Stores a group in one transaction; see the port."""
        with self._lock:
            if not self._sound:
                self._reopen()
            try:
                written, parts = self._transact(group)
            except _REFUSALS as error:
                raise StoreRefused(str(error)) from error
            except duckdb.Error as error:
                raise StoreUnavailable(str(error)) from error
            self._remember(group, parts)
            return written

    def _transact(self, group: Group) -> tuple[Written, list[Rows]]:
        """Writes a group and commits; whatever goes wrong leaves no transaction behind."""
        committed = False
        self._connection.begin()
        try:
            result = self._write(group)
            self._connection.commit()
            committed = True
        finally:
            if not committed:
                self._roll_back()
        return result

    def _reopen(self) -> None:
        self._connection.close()
        self._open()

    def _roll_back(self) -> None:
        """Rolls back; where even that fails, the file is opened anew before the next write."""
        try:
            self._connection.rollback()
            self._learn()
        except duckdb.Error as error:
            log.warning("%s has to be opened anew: %s", self._path, error)
            self._sound = False

    def _remember(self, group: Group, parts: Sequence[Rows]) -> None:
        for batch in group.batches:
            self._stored.add(batch)
        for part in parts:
            key = self._catalogue.profile_key(part.profile)
            self._high_water.raise_to(key, part.meter, part.captured_at)

    def _write(self, group: Group) -> tuple[Written, list[Rows]]:
        writer = GroupWriter(
            self._connection, self._catalogue, self._high_water, group.stored_at_ms
        )
        writer.batches({b: d for b, d in group.batches.items() if b not in self._stored})
        parts = merge(group.blocks, self._catalogue.meter_keys)
        accepted, conflicting = writer.rows(parts) if parts else ([], 0)
        new = sum(int(mask.sum()) for mask in accepted)
        total = sum(part.row_count for part in parts)
        masks = tuple(spread(parts, accepted, group.blocks))
        return Written(new, total - new - conflicting, conflicting, masks), parts

    def known(self, batches: Sequence[BatchId]) -> dict[BatchId, str]:
        """Returns the digests of stored batches; new ones cost no query."""
        with self._lock:
            likely = [batch for batch in batches if batch in self._stored]
        found: dict[BatchId, str] = {}
        with self._cursor() as cursor:
            for batch in likely:
                row = cursor.execute(
                    "SELECT digest FROM batches WHERE sequence = ? AND epoch = ? AND gateway = ?",
                    [batch.sequence, batch.epoch, batch.gateway],
                ).fetchone()
                if row:
                    found[batch] = str(row[0])
        return found

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        except duckdb.Error as error:
            raise StoreUnavailable(str(error)) from error

    def readings(
        self, meter: str, profile: str | None, start: int, end: int, limit: int
    ) -> list[Reading]:
        """Returns a meter's readings, newest first; see the port."""
        with self._cursor() as cursor:
            return reads.readings(cursor, self._catalogue, (meter, profile), (start, end), limit)

    def series(
        self, meter: str, profile: str, logical_name: str, start: int, end: int, step_s: int | None
    ) -> Series:
        """Returns one curve; see the port."""
        with self._cursor() as cursor:
            curve = (meter, profile, logical_name)
            return reads.series(cursor, self._catalogue, curve, (start, end), step_s)

    def fleet_series(
        self, profile: str, logical_name: str, start: int, end: int, step_s: int
    ) -> FleetSeries:
        """Sums last values per step; see the port."""
        with self._cursor() as cursor:
            curve = (profile, logical_name)
            return reads.fleet_series(cursor, self._catalogue, curve, (start, end), step_s)

    def fleet_increase(
        self, profile: str, logical_name: str, start: int, end: int, step_s: int
    ) -> FleetSeries:
        """Sums growth per step; see the port."""
        with self._cursor() as cursor:
            curve = (profile, logical_name)
            return reads.fleet_increase(cursor, self._catalogue, curve, (start, end), step_s)

    def captured(self, profile: str, start: int, end: int) -> dict[str, Integers]:
        """Returns each meter's capture times; see the port."""
        with self._cursor() as cursor:
            return reads.captured(cursor, self._catalogue, profile, (start, end))

    def captured_times(self, meter: str, profile: str, start: int, end: int) -> Integers:
        """Returns one meter's capture times; see the port."""
        with self._cursor() as cursor:
            return reads.captured_times(cursor, self._catalogue, (meter, profile), (start, end))

    def export(self, start: int, end: int) -> Iterator[Reading]:
        """Yields all readings of a range; see the port."""
        with self._cursor() as cursor:
            yield from reads.export(cursor, self._catalogue, (start, end))

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        """Yields the latest row of every meter and profile; see the port."""
        with self._cursor() as cursor:
            yield from reads.latest_rows(cursor, self._catalogue)
