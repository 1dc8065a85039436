"""What the embedded store holds under the identities of rows, compared with what the rows say.

Of one capture a meter may have said many things, and a few octets may say as many more of it. So no
row is held against every other of its identity: what is said is matched as a whole, at a price that
goes by the number of rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_schema import COLUMN_LIST, OWN_COLUMNS
from hesper_cloud.stores.duckdb_sealed import SealedFile
from hesper_cloud.stores.duckdb_snapshot import parquet, stored
from hesper_cloud.stores.port import Flags, Integers

_IDENTITY = ("meter", "profile", "captured_at", "clock_status")
_VALUES = tuple(f"v{place}" for place in range(OWN_COLUMNS))
SAME_IDENTITY = " AND ".join(f"incoming.{name} = stored.{name}" for name in _IDENTITY)
_SAME_CONTENT = " AND ".join(
    f"incoming.{name} IS NOT DISTINCT FROM stored.{name}" for name in ("layout", *_VALUES, "more")
)
_NEAR = f"""
    WITH near AS MATERIALIZED (FROM (
        FROM {{stored}}
        UNION ALL SELECT {COLUMN_LIST} FROM revisions WHERE captured_at BETWEEN $first AND $last
    ) AS stored SEMI JOIN incoming ON {SAME_IDENTITY})"""  # noqa: S608 - our own column names
_COMPARE = f"""{_NEAR}
    SELECT position, position IN (
        SELECT position FROM incoming
        SEMI JOIN near AS stored ON {SAME_IDENTITY} AND {_SAME_CONTENT}) AS same
    FROM incoming SEMI JOIN near AS stored ON {SAME_IDENTITY}"""  # noqa: S608 - our own column names
# Which columns of a profile are empty throughout, and left out, depends on how a gateway happened
# to cut it into chunks: what is said is the values that there are, each of its quantity.
_SAID = f"""(
    SELECT *, list_sort(list_distinct([
        pair for pair in list_zip(names, list_concat([{", ".join(_VALUES)}], more))
        if pair[2] IS NOT NULL])) AS said
    FROM {{rows}} JOIN named USING (layout))"""  # noqa: S608 - our own column names
_ALIKE = f"""{_NEAR}
    SELECT position FROM {_SAID.format(rows="incoming")} AS incoming
    SEMI JOIN {_SAID.format(rows="near")} AS stored
    ON {SAME_IDENTITY} AND incoming.said = stored.said"""  # noqa: S608 - our own column names
_DIFFERENT = f"""
    SELECT min(position) AS position FROM {_SAID.format(rows="incoming")}
    GROUP BY {", ".join(_IDENTITY)}, said"""  # noqa: S608 - our own column names


class Versions:
    """Compares the rows of one group, inside its transaction."""

    def __init__(self, file: DuckDbFile) -> None:
        self._file = file
        self._connection = file.connection

    def compare(self, table: pa.Table, mask: Flags) -> tuple[Flags, Flags]:
        """Compares rows with what is stored; returns masks: identity met, and all met differ.

        Rows of sealed days are compared apart: the others need no look into files.
        """
        met, differing = np.zeros(len(mask), dtype=bool), np.zeros(len(mask), dtype=bool)
        if not mask.any():
            return met, differing
        sealed = self._of_sealed_days(table.column("captured_at").to_numpy())
        for positions in (np.flatnonzero(mask & ~sealed), np.flatnonzero(mask & sealed)):
            if len(positions):
                found = self._ask(_COMPARE, table, positions)
                at, same = found["position"], np.asarray(found["same"], dtype=bool)
                met[at] = True
                differing[at] = ~same
                if not same.all():
                    with self._named():
                        differing[self._ask(_ALIKE, table, at[~same])["position"]] = False
        return met, differing

    def different(self, table: pa.Table, mask: Flags) -> Flags:
        """Returns the first of those rows of a mask that say the same of the same capture."""
        positions = np.flatnonzero(mask)
        rows = _at(table, positions)
        with self._named(), registered(self._connection, "incoming", rows):
            found = self._connection.execute(_DIFFERENT).fetchnumpy()
        chosen = np.zeros(len(mask), dtype=bool)
        chosen[found["position"]] = True
        return chosen

    def _of_sealed_days(self, captured_at: Integers) -> Flags:
        found = np.zeros(len(captured_at), dtype=bool)
        for file in self._file.sealed:
            found |= (captured_at >= file.start) & (captured_at < file.end)
        return found

    def _ask(self, query: str, table: pa.Table, positions: Integers) -> dict[str, Any]:
        """Asks about rows at positions of a table, against all that is stored of their range."""
        rows = _at(table, positions)
        span = range_of(rows)
        files = self._files_of(rows)
        self._file.folder.check(files)
        sealed = parquet(self._file.folder.path, files)
        source = stored(self._connection, sealed, (span["first"], span["last"] + 1))
        with registered(self._connection, "incoming", rows):
            return self._connection.execute(query.format(stored=source), span).fetchnumpy()

    def _files_of(self, rows: pa.Table) -> list[SealedFile]:
        """Returns the sealed files of the days in which rows were captured."""
        captured = np.sort(rows.column("captured_at").to_numpy())
        return [
            file
            for file in self._file.sealed
            if np.diff(np.searchsorted(captured, (file.start, file.end))) > 0
        ]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Has the quantities of each layout at hand, each as a number."""
        numbers: dict[object, int] = {}
        names = [
            [numbers.setdefault(quantity, len(numbers)) for quantity in quantities]
            for quantities in self._file.catalogue.layouts
        ]
        columns = {
            "layout": pa.array(range(len(names)), pa.int32()),
            "names": pa.array(names, pa.list_(pa.int32())),
        }
        with registered(self._connection, "named", pa.table(columns)):
            yield


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> Iterator[None]:
    """Lets SQL name a table in memory."""
    connection.register(name, rows)  # replaces what a failed write left behind
    yield
    connection.unregister(name)


def range_of(rows: pa.Table) -> dict[str, int]:
    """Returns the first and the last capture time, as what SQL calls them."""
    captured = rows.column("captured_at").to_numpy()
    return {"first": int(captured.min()), "last": int(captured.max())}


def _at(table: pa.Table, positions: Integers) -> pa.Table:
    return table.take(pa.array(positions)).append_column("position", pa.array(positions))
