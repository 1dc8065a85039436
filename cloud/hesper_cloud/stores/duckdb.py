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
from hesper_contracts.quality import Quality

from hesper_cloud.stores import duckdb_reads as reads
from hesper_cloud.stores.duckdb_rows import to_arrow
from hesper_cloud.stores.duckdb_schema import ISLANDS, OWN_COLUMNS, Catalogue, create_tables
from hesper_cloud.stores.high_water import HighWater
from hesper_cloud.stores.port import (
    Block,
    Flags,
    FleetSeries,
    Group,
    Integers,
    Reading,
    Series,
    StoreRefused,
    StoreUnavailable,
    Written,
)
from hesper_cloud.stores.rows import Rows, first_of_identity, merge, spread
from hesper_cloud.stores.sequences import StoredSequences

log = logging.getLogger(__name__)

_REFUSALS = (duckdb.DataError, duckdb.ProgrammingError, pa.ArrowInvalid, OverflowError)
_SAME = " AND ".join(
    f"incoming.{name} IS NOT DISTINCT FROM stored.{name}"
    for name in ("layout", *(f"v{place}" for place in range(OWN_COLUMNS)), "more")
)
_IDENTITY = ("meter", "profile", "captured_at", "clock_status")
_MET = " AND ".join(f"incoming.{name} = stored.{name}" for name in _IDENTITY)
_COMPARE = f"""
    SELECT position, bool_or({_SAME}) AS same
    FROM incoming JOIN (
        SELECT * FROM readings WHERE captured_at BETWEEN $first AND $last
        UNION ALL SELECT * FROM revisions WHERE captured_at BETWEEN $first AND $last
    ) AS stored ON {_MET}
    GROUP BY position"""  # noqa: S608 - our own column names
_FLAG = f"""
    UPDATE readings AS stored SET quality = stored.quality | {int(Quality.CONFLICTING)}
    FROM incoming
    WHERE {_MET} AND stored.captured_at BETWEEN $first AND $last"""  # noqa: S608 - our own column names


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
                self._connection.begin()
                written, parts = self._write(group)
                self._connection.commit()
            except (duckdb.Error, pa.ArrowInvalid, OverflowError) as error:
                self._give_up(error)
                refused = isinstance(error, _REFUSALS)
                raise (StoreRefused if refused else StoreUnavailable)(str(error)) from error
            self._remember(group, parts)
            return written

    def _reopen(self) -> None:
        self._connection.close()
        self._open()

    def _give_up(self, error: Exception) -> None:
        """Rolls back; where even that fails, the file is opened anew before the next write."""
        log.warning("group not stored: %s", error)
        try:
            self._connection.rollback()
            self._learn()
        except duckdb.Error:
            self._sound = False

    def _remember(self, group: Group, parts: Sequence[Rows]) -> None:
        for batch in group.batches:
            self._stored.add(batch)
        for part in parts:
            key = self._catalogue.profile_key(part.profile)
            self._high_water.raise_to(key, part.meter, part.captured_at)

    def _write(self, group: Group) -> tuple[Written, list[Rows]]:
        self._insert_batches(group)
        parts = merge(group.blocks, self._catalogue.meter_keys)
        accepted, conflicting = self._insert_parts(parts, group.stored_at) if parts else ([], 0)
        new = sum(int(mask.sum()) for mask in accepted)
        total = sum(part.row_count for part in parts)
        masks = tuple(spread(parts, accepted, group.blocks))
        return Written(new, total - new - conflicting, conflicting, masks), parts

    def _insert_batches(self, group: Group) -> None:
        fresh = [(*batch, digest) for batch, digest in group.batches.items()
                 if batch not in self._stored]  # fmt: skip
        if not fresh:
            return
        gateways, epochs, sequences, digests = zip(*fresh, strict=True)
        self._insert_table(
            "batches",
            pa.table(
                {
                    "gateway": gateways,
                    "epoch": epochs,
                    "sequence": pa.array(sequences, pa.int64()),
                    "digest": digests,
                    "stored_at": pa.array([group.stored_at] * len(fresh), pa.int64()),
                }
            ),
        )

    def _insert_table(self, table: str, rows: pa.Table) -> None:
        with self._incoming(rows):
            self._connection.execute(f"INSERT INTO {table} SELECT * FROM incoming")  # noqa: S608 - our own table names

    @contextmanager
    def _incoming(self, rows: pa.Table) -> Iterator[None]:
        self._connection.register("incoming", rows)  # replaces what a failed write left behind
        yield
        self._connection.unregister("incoming")

    def _insert_parts(self, parts: list[Rows], stored_at: int) -> tuple[list[Flags], int]:
        """Inserts all rows; returns the masks of new rows and the count of conflicting ones."""
        keys = [self._catalogue.profile_key(part.profile) for part in parts]
        firsts = first_of_identity(parts, keys)
        tables, accepted, conflicting = [], [], 0
        for part, key, first in zip(parts, keys, firsts, strict=True):
            layout = self._catalogue.layout_key(part.quantities)
            table = to_arrow(part, key, layout, stored_at)
            suspect = first & self._high_water.at_or_below(key, part.meter, part.captured_at)
            met, differing = self._compare(table, suspect)
            new = first & ~met
            self._insert_table("readings", table if new.all() else table.filter(pa.array(new)))
            conflicting += self._keep_revisions(table, differing)
            tables.append(table)
            accepted.append(new)
        for table, first in zip(tables, firsts, strict=True):  # now every first row is in place
            conflicting += self._keep_repeats(table, ~first)
        return accepted, conflicting

    def _compare(self, table: pa.Table, mask: Flags) -> tuple[Flags, Flags]:
        """Compares rows with what is stored; returns masks: identity met, and all met differ."""
        met, differing = np.zeros(len(mask), dtype=bool), np.zeros(len(mask), dtype=bool)
        if not mask.any():
            return met, differing
        positions = np.flatnonzero(mask)
        rows = table.take(pa.array(positions)).append_column("position", pa.array(positions))
        with self._incoming(rows):
            found = self._connection.execute(_COMPARE, _range(rows)).fetchnumpy()
        met[found["position"]] = True
        differing[found["position"]] = ~np.asarray(found["same"], dtype=bool)
        return met, differing

    def _keep_revisions(self, table: pa.Table, differing: Flags) -> int:
        if not differing.any():
            return 0
        rows = table.filter(pa.array(differing))
        self._insert_table("revisions", rows)
        with self._incoming(rows):
            self._connection.execute(_FLAG, _range(rows))
        return len(rows)

    def _keep_repeats(self, table: pa.Table, repeats: Flags) -> int:
        """Keeps rows that repeat an identity within the group, where their values differ."""
        _, differing = self._compare(table, repeats)
        if not differing.any():
            return 0
        positions = np.flatnonzero(differing)
        contents = table.take(pa.array(positions)).drop_columns(["quality", "received_at"])
        seen: dict[str, int] = {}
        for position, content in zip(positions, contents.to_pylist(), strict=True):
            seen.setdefault(repr(content), int(position))
        distinct = np.zeros(len(repeats), dtype=bool)
        distinct[list(seen.values())] = True
        return self._keep_revisions(table, distinct)

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


def _range(rows: pa.Table) -> dict[str, int]:
    captured = rows.column("captured_at").to_numpy()
    return {"first": int(captured.min()), "last": int(captured.max())}
