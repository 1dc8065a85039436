"""One transaction's worth of writing in the embedded store; see `duckdb` for the theory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hesper_contracts.batch import BatchId
from hesper_contracts.quality import Quality

from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_rows import to_arrow
from hesper_cloud.stores.duckdb_schema import COLUMN_LIST, OWN_COLUMNS, ROW_GROUP
from hesper_cloud.stores.duckdb_sealed import SealedFile
from hesper_cloud.stores.duckdb_snapshot import parquet, stored
from hesper_cloud.stores.port import Flags, Integers, Quantity
from hesper_cloud.stores.rows import Rows, Stamp, first_of_identity

_CONTENT = ("layout", *(f"v{place}" for place in range(OWN_COLUMNS)), "more")
_SAME = " AND ".join(f"incoming.{name} IS NOT DISTINCT FROM stored.{name}" for name in _CONTENT)


def _content(of: str) -> str:
    return ", ".join(f"{of}.{name}" for name in _CONTENT)


_IDENTITY = ("meter", "profile", "captured_at", "clock_status")
_MET = " AND ".join(f"incoming.{name} = stored.{name}" for name in _IDENTITY)
_PAIRS = f"""
    FROM incoming JOIN (
        FROM {{stored}}
        UNION ALL SELECT {COLUMN_LIST} FROM revisions WHERE captured_at BETWEEN $first AND $last
    ) AS stored ON {_MET}"""  # noqa: S608 - our own column names
_COMPARE = f"SELECT position, bool_or({_SAME}) AS same {_PAIRS} GROUP BY position"
_CONTENTS = f"SELECT position, {_content('incoming')}, {_content('stored')} {_PAIRS}"
_FLAG = f"""
    UPDATE readings AS stored SET quality = stored.quality | {int(Quality.CONFLICTING)}
    FROM incoming
    WHERE {_MET} AND stored.captured_at BETWEEN $first AND $last"""  # noqa: S608 - our own column names


class GroupWriter:
    """Writes one group inside a transaction that the caller begins and ends."""

    def __init__(self, file: DuckDbFile, stamp: Stamp) -> None:
        self._file = file
        self._connection = file.connection
        self._catalogue = file.catalogue
        self._high_water = file.high_water
        self._stamp = stamp

    def batches(self, fresh: Mapping[BatchId, str]) -> None:
        """Inserts batch ids with their digests."""
        if not fresh:
            return
        gateways, epochs, sequences = zip(*fresh, strict=True)
        self._insert_table(
            "batches",
            pa.table(
                {
                    "gateway": gateways,
                    "epoch": epochs,
                    "sequence": pa.array(sequences, pa.int64()),
                    "digest": list(fresh.values()),
                    "stored_at": pa.array(
                        [self._stamp.stored_at_ms // 1000] * len(fresh), pa.int64()
                    ),
                }
            ),
        )

    def _insert_table(self, table: str, given_rows: pa.Table) -> None:  # noqa: ARG002 - named in SQL
        """Inserts rows; DuckDB finds them by the argument's name, at half the price of a view."""
        self._connection.execute(f"INSERT INTO {table} SELECT * FROM given_rows")  # noqa: S608 - our own table names

    @contextmanager
    def _incoming(self, rows: pa.Table) -> Iterator[None]:
        self._connection.register("incoming", rows)  # replaces what a failed write left behind
        yield
        self._connection.unregister("incoming")

    def rows(self, parts: Sequence[Rows]) -> tuple[list[Flags], int]:
        """Inserts all rows; returns the masks of new rows and the count of conflicting ones."""
        keys = [self._catalogue.profile_key(part.profile) for part in parts]
        firsts = first_of_identity(parts, keys)
        tables, accepted, conflicting = [], [], 0
        for part, key, first in zip(parts, keys, firsts, strict=True):
            layout = self._catalogue.layout_key(part.quantities)
            self._catalogue.uses(key, layout)
            table = to_arrow(part, key, layout, *self._stamp)
            suspect = first & self._high_water.at_or_below(key, part.meter, part.captured_at)
            met, differing = self._compare(table, suspect)
            new = first & ~met
            fresh = table if new.all() else table.filter(pa.array(new))
            self._insert_table("readings", halved(fresh))
            conflicting += self._keep_revisions(table, differing)
            tables.append(table)
            accepted.append(new)
        for table, first in zip(tables, firsts, strict=True):  # now every first row is in place
            conflicting += self._keep_repeats(table, ~first)
        return accepted, conflicting

    def _compare(self, table: pa.Table, mask: Flags) -> tuple[Flags, Flags]:
        """Compares rows with what is stored; returns masks: identity met, and all met differ.

        Rows of sealed days are compared apart: the others need no look into files.
        """
        met, differing = np.zeros(len(mask), dtype=bool), np.zeros(len(mask), dtype=bool)
        if not mask.any():
            return met, differing
        sealed = self._of_sealed_days(table.column("captured_at").to_numpy())
        for positions in (np.flatnonzero(mask & ~sealed), np.flatnonzero(mask & sealed)):
            if len(positions):
                with self._asked(_COMPARE, table, positions) as answer:
                    found = answer.fetchnumpy()
                at, same = found["position"], np.asarray(found["same"], dtype=bool)
                met[at] = True
                differing[at] = ~same
                if not same.all():
                    differing[self._alike(table, at[~same])] = False
        return met, differing

    def _of_sealed_days(self, captured_at: Integers) -> Flags:
        found = np.zeros(len(captured_at), dtype=bool)
        for file in self._file.sealed:
            found |= (captured_at >= file.start) & (captured_at < file.end)
        return found

    @contextmanager
    def _asked(
        self, query: str, table: pa.Table, positions: Integers
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Asks about rows at positions of a table, against all that is stored of their range."""
        rows = table.take(pa.array(positions)).append_column("position", pa.array(positions))
        first, last = _range(rows).values()
        files = self._files_of(rows)
        self._file.folder.check(files)
        sealed = parquet(self._file.folder.path, files)
        source = stored(self._connection, sealed, (first, last + 1))
        with self._incoming(rows):
            yield self._connection.execute(query.format(stored=source), _range(rows))

    def _files_of(self, rows: pa.Table) -> list[SealedFile]:
        """Returns the sealed files of the days in which rows were captured."""
        captured = np.sort(rows.column("captured_at").to_numpy())
        return [
            file
            for file in self._file.sealed
            if np.diff(np.searchsorted(captured, (file.start, file.end))) > 0
        ]

    def _alike(self, table: pa.Table, positions: Integers) -> list[int]:
        """Returns those rows that say what a stored row says, with other empty columns.

        Which columns of a profile are empty throughout, and left out, depends on how a gateway
        happened to cut it into chunks.
        """
        with self._asked(_CONTENTS, table, positions) as answer:
            pairs = answer.fetchall()
        width = len(_CONTENT)
        return [
            position
            for position, *contents in pairs
            if self._said(contents[:width]) == self._said(contents[width:])
        ]

    def _said(self, content: Sequence[Any]) -> set[tuple[Quantity, int]]:
        layout, *own, more = content
        pairs = zip(self._catalogue.layouts[layout], [*own, *(more or ())], strict=False)
        return {(quantity, value) for quantity, value in pairs if value is not None}

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


def halved(rows: pa.Table) -> pa.Table:
    """Returns rows in two chunks, where each is a row group at least.

    DuckDB inserts a chunk with one thread; one of less than a row group would go through its log.
    """
    row_groups = len(rows) // ROW_GROUP
    if row_groups < 2:
        return rows
    half = (row_groups + 1) // 2 * ROW_GROUP
    return pa.concat_tables([rows.slice(0, half), rows.slice(half)])


def _range(rows: pa.Table) -> dict[str, int]:
    captured = rows.column("captured_at").to_numpy()
    return {"first": int(captured.min()), "last": int(captured.max())}
