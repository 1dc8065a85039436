"""How rows move from the table into a sealed file, and files into others.

Theory of operation. Everything is one move, `Rewriting.rewrite`: some sealed files and the table's
rows of the same days become one new file, and one transaction then names it in place of what it was
made of and takes those rows out of the table. Killed before the transaction, the new file is not
named and is removed at the next start; killed after it, the old files are. Rows that are committed
while the file is being written carry a higher commit number and stay in the table for the next
time, as do late rows of a sealed day, which reads find there.

What start must know of sealed days without opening them goes into two small tables in the same
transaction: ``newest`` (latest rows per meter, profile and layout) and ``marks`` (newest captures).
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from hesper_cloud.stores import duckdb_day_sums as day_sums
from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_row_groups import DAY_ROWS, MONTH_ROWS
from hesper_cloud.stores.duckdb_schema import COLUMN_LIST, NEWEST_COMMIT
from hesper_cloud.stores.duckdb_sealed import DAY_S, SealedFile
from hesper_cloud.stores.duckdb_snapshot import Snapshot
from hesper_cloud.stores.errors import StoreUnavailable

_FORM = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2"
_NEWEST_OF = f"""
    SELECT {COLUMN_LIST} FROM ({{rows}})
    QUALIFY row_number() OVER (PARTITION BY meter, profile, layout
        ORDER BY least(captured_at, received_at) DESC, captured_at DESC) = 1"""  # noqa: S608 - our own column names
_NEWEST = _NEWEST_OF.format(rows="FROM newest UNION ALL FROM ({rows})")
_MARKS = """
    SELECT profile, meter, max(mark) AS mark FROM (
        FROM marks UNION ALL SELECT profile, meter, captured_at FROM ({rows})) GROUP BY ALL"""

_ALL = "true"


class Rewriting:
    """Moves rows between table and files; one thread at a time."""

    def __init__(self, file: DuckDbFile) -> None:
        self._file = file

    def delete(self, condition: str, value: int) -> int:
        """Removes rows from the tables; returns how many."""
        with self._file.transaction() as connection:
            _raise_floor(connection)
            gone = 0
            for table in ("readings", "revisions"):
                answer = connection.execute(f"DELETE FROM {table} WHERE {condition}", [value])  # noqa: S608 - our own tables
                gone += answer.fetchall()[0][0]
            connection.execute(f"DELETE FROM newest WHERE {condition}", [value])  # noqa: S608 - our own condition
        return gone

    def find_newest(self, meter: int) -> None:
        """Looks for a meter's newest sealed rows anew, after some of its rows went."""
        with self._file.snapshot() as view:
            newest = view.cursor.sql(_NEWEST_OF.format(rows=view.sealed_of(meter))).to_arrow_table()
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM newest WHERE meter = ?", [meter])
            connection.register("newest_of_meter", newest)
            connection.execute("INSERT INTO newest FROM newest_of_meter")
            connection.unregister("newest_of_meter")

    def holds(self, file: SealedFile, meter: int) -> bool:
        """Says whether a sealed file has rows of a meter, named by its key."""
        with self._file.snapshot() as view:
            view.used = [file]  # checked anew, and set aside, where it cannot be read
            query = f"SELECT 1 FROM ({view.sealed([file])}) WHERE meter = ? LIMIT 1"  # noqa: S608 - our own
            return bool(view.cursor.execute(query, [meter]).fetchall())

    def drop(self, files: Sequence[SealedFile]) -> int:
        """Removes whole files; returns how many rows were in them."""
        if files:
            with self._file.naming() as connection:
                self._forget(connection, files)
                day_sums.forget(connection, _days_of(files))
            self._file.folder.supersede(file.name for file in files)
        return sum(file.row_count for file in files)

    def rewrite(self, files: Sequence[SealedFile], days: tuple[int, int], keep: str = _ALL) -> int:
        """Makes one file of some files and the table's rows of their days; returns rows left out.

        Args:
            files: What is replaced; its days are among `days`, or left out by `keep`.
            days: First and last day of the new file.
            keep: SQL condition of the rows that are kept.
        """
        commit = self._file.commit_number
        first_day = min([days[0], *(file.first_day for file in files)])
        span = f"captured_at >= {first_day * DAY_S} AND captured_at < {(days[1] + 1) * DAY_S}"
        moving = f"{span} AND commit_number <= {commit}"
        passing = self._file.folder.passing_name(*days)
        made = None
        try:
            with self._file.snapshot() as view:
                written, summary = _write_sorted(
                    view, files, moving, (keep, passing), _group_rows(days)
                )
            if written:
                name, octets, digest = self._file.folder.keep(passing)
                made = SealedFile(name, *days, written, octets, digest, commit)
        finally:
            passing.unlink(missing_ok=True)  # there still when it is empty, or the disk is full
        left_out = self._name(made, files, moving, summary, complete=keep == _ALL)
        self._file.folder.supersede(file.name for file in files)
        return left_out

    def _name(
        self,
        made: SealedFile | None,
        replaced: Sequence[SealedFile],
        moving: str,
        summary: dict[str, pa.Table],
        *,
        complete: bool,
    ) -> int:
        """Names a new file in place of others and of the table's rows, in one transaction."""
        with self._file.naming() as connection:
            moved = connection.execute(f"DELETE FROM readings WHERE {moving}").fetchall()[0][0]  # noqa: S608 - integers of ours
            before = moved + sum(file.row_count for file in replaced)
            left_out = int(before) - (0 if made is None else made.row_count)
            if complete and left_out:
                raise StoreUnavailable(f"a sealed file would lack {left_out} of {before} rows")
            self._forget(connection, replaced)
            if moved or left_out:
                day_sums.forget(
                    connection, _days_of(replaced if made is None else [*replaced, made])
                )
            if made is not None:
                connection.execute("INSERT INTO sealed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", made)
            for table, rows in summary.items():
                connection.register("summary", rows)
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own tables
                connection.execute(f"INSERT INTO {table} FROM summary")
                connection.unregister("summary")
        return left_out

    def _forget(self, connection: duckdb.DuckDBPyConnection, files: Sequence[SealedFile]) -> None:
        _raise_floor(connection)
        for file in files:
            connection.execute("DELETE FROM sealed WHERE name = ?", [file.name])


def _raise_floor(connection: duckdb.DuckDBPyConnection) -> None:
    """Keeps the newest commit's number, so that no later commit takes that of rows that go."""
    number = connection.execute(NEWEST_COMMIT).fetchall()[0][0]
    connection.execute("DELETE FROM commit_floor")
    connection.execute("INSERT INTO commit_floor VALUES (?)", [number])


def _write_sorted(
    view: Snapshot,
    files: Sequence[SealedFile],
    moving: str,
    target: tuple[str, Path],
    group_rows: int,
) -> tuple[int, dict[str, pa.Table]]:
    """Writes the rows of files and table, sorted; returns their count and what start must know."""
    hot = f"SELECT {COLUMN_LIST} FROM readings WHERE {moving}"  # noqa: S608 - our own columns
    rows = f"{hot} UNION ALL {view.sealed(files)}" if files else hot
    keep, passing = target
    written = view.cursor.execute(
        f"COPY (SELECT {COLUMN_LIST} FROM ({rows}) WHERE {keep}"  # noqa: S608 - our own columns
        f" ORDER BY meter, profile, captured_at, clock_status) TO '{_escaped(passing)}'"
        f" ({_FORM}, ROW_GROUP_SIZE {group_rows:d})"
    ).fetchall()[0][0]
    summary = {
        table: view.cursor.sql(query.format(rows=hot)).to_arrow_table()
        for table, query in (("newest", _NEWEST), ("marks", _MARKS))
    }
    return int(written), summary


def _days_of(files: Sequence[SealedFile]) -> tuple[int, int]:
    return min(file.start for file in files), max(file.end for file in files)


def _group_rows(days: tuple[int, int]) -> int:
    return MONTH_ROWS if days[1] > days[0] else DAY_ROWS


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
