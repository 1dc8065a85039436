"""One transaction's worth of writing in the embedded store; see `duckdb` for the theory."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from hesper_contracts.batch import BatchId
from hesper_contracts.quality import Quality

from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_rows import to_arrow
from hesper_cloud.stores.duckdb_schema import ROW_GROUP
from hesper_cloud.stores.duckdb_versions import (
    SAME_IDENTITY,
    Versions,
    range_of,
    registered,
)
from hesper_cloud.stores.port import Flags
from hesper_cloud.stores.rows import Rows, Stamp, first_of_identity

_FLAG = f"""
    UPDATE readings AS stored SET quality = stored.quality | {int(Quality.CONFLICTING)}
    FROM incoming
    WHERE {SAME_IDENTITY} AND stored.captured_at BETWEEN $first AND $last"""  # noqa: S608 - our own column names


class GroupWriter:
    """Writes one group inside a transaction that the caller begins and ends."""

    def __init__(self, file: DuckDbFile, stamp: Stamp) -> None:
        self._connection = file.connection
        self._catalogue = file.catalogue
        self._high_water = file.high_water
        self._versions = Versions(file)
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

    def rows(self, parts: Sequence[Rows]) -> tuple[list[Flags], int]:
        """Inserts all rows; returns the masks of new rows and the count of conflicting ones.

        Whatever their layouts, they are one table: a statement costs much, and a row hardly any.
        """
        keys = self._catalogue.profile_keys([part.profile for part in parts])
        table = self._table(parts, keys)
        first = np.concatenate(first_of_identity(parts, keys))
        below = [
            self._high_water.at_or_below(key, part.meter, part.captured_at)
            for part, key in zip(parts, keys, strict=True)
        ]
        met, differing = self._versions.compare(table, first & np.concatenate(below))
        new = first & ~met
        self._insert_table("readings", halved(table if new.all() else table.filter(pa.array(new))))
        conflicting = self._keep_revisions(table, differing)
        conflicting += self._keep_repeats(table, ~first)  # now every first row is in place
        ends = np.cumsum([part.row_count for part in parts])[:-1]
        return list(np.split(new, ends)), conflicting

    def _table(self, parts: Sequence[Rows], keys: Sequence[int]) -> pa.Table:
        layouts = self._catalogue.layout_keys([part.quantities for part in parts])
        tables = []
        for part, key, layout in zip(parts, keys, layouts, strict=True):
            self._catalogue.uses(key, layout)
            tables.append(to_arrow(part, key, layout, *self._stamp))
        return tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()

    def _keep_revisions(self, table: pa.Table, differing: Flags) -> int:
        if not differing.any():
            return 0
        rows = table.filter(pa.array(differing))
        self._insert_table("revisions", rows)
        with registered(self._connection, "incoming", rows):
            self._connection.execute(_FLAG, range_of(rows))
        return len(rows)

    def _keep_repeats(self, table: pa.Table, repeats: Flags) -> int:
        """Keeps rows that repeat an identity within the group, where they say something else."""
        if not repeats.any():
            return 0
        _, differing = self._versions.compare(table, self._versions.different(table, repeats))
        return self._keep_revisions(table, differing)


def halved(rows: pa.Table) -> pa.Table:
    """Returns rows in two chunks, where each is a row group at least.

    DuckDB inserts a chunk with one thread; one of less than a row group would go through its log.
    """
    row_groups = len(rows) // ROW_GROUP
    if row_groups < 2:
        return rows
    half = (row_groups + 1) // 2 * ROW_GROUP
    return pa.concat_tables([rows.slice(0, half), rows.slice(half)])
