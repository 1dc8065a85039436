"""The energy book: aggregates, scores and verdicts per meter and local day, in one DuckDB file.

Theory of operation. Everything here is computed from readings and substitutes, and is replaced a
meter's day at a time, in one transaction, whenever either of them changed. A day holds the buckets
of half an hour (of the capture period where that is longer) of each quantity as lists; hours, days
and months are added up from them, so that all agree. Whoever opens the same path in this process
shares the file.

With its rows each day gets a number, higher than any that was given before: the microsecond at
which it was worked on, or the next one free. Who follows the numbers misses no day, and a book that
was lost and computed again goes on above the old numbers.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from hesper_cloud.stores import duckdb_backup
from hesper_cloud.stores.duckdb_file import let_go, unavailable, usual_memory_mib
from hesper_cloud.stores.port import StoreUnavailable

Row = tuple[Any, ...]

DAYS = pa.schema(
    [
        ("meter", pa.string()),
        ("logical_name", pa.string()),
        ("day", pa.date32()),
        ("starts_at", pa.int64()),
        ("scaler", pa.int8()),
        ("unit", pa.uint8()),
        ("step_s", pa.int32()),
        ("sums", pa.list_(pa.int64())),
        ("counts", pa.list_(pa.int16())),
        ("estimated", pa.list_(pa.int16())),
        ("opening", pa.int64()),
        ("closing", pa.int64()),
        ("demand_15", pa.int64()),
        ("demand_15_at", pa.int64()),
        ("demand_30", pa.int64()),
        ("demand_30_at", pa.int64()),
    ]
)
SCORES = pa.schema(
    [
        ("meter", pa.string()),
        ("day", pa.date32()),
        ("starts_at", pa.int64()),
        ("expected", pa.int32()),
        ("stored", pa.int32()),
        ("doubted", pa.int32()),
        ("estimated", pa.int32()),
        ("edited", pa.int32()),
        ("score", pa.int8()),
    ]
)
VERDICTS = pa.schema(
    [
        ("meter", pa.string()),
        ("day", pa.date32()),
        ("logical_name", pa.string()),
        ("check_name", pa.string()),
        ("from_at", pa.int64()),
        ("to_at", pa.int64()),
        ("captures", pa.int32()),
    ]
)
WORKINGS = pa.schema([("meter", pa.string()), ("day", pa.date32()), ("number", pa.int64())])
_TABLES = {"days": DAYS, "scores": SCORES, "verdicts": VERDICTS, "workings": WORKINGS}
_WORKINGS = """
    SELECT meter, day, number FROM workings WHERE number > $after AND number <= $until
    ORDER BY number LIMIT $limit"""
_COPY = "workings.parquet"  # older backups have none
_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.date32(): "DATE",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int16(): "SMALLINT",
    pa.int8(): "TINYINT",
    pa.uint8(): "UTINYINT",
    pa.list_(pa.int64()): "BIGINT[]",
    pa.list_(pa.int16()): "SMALLINT[]",
}


class Working(NamedTuple):
    """A meter's day as it was worked on last; a higher number is a newer version of the day."""

    meter: str
    day: date
    number: int


def number_at(moment: datetime) -> int:
    """Returns the lowest number of a day that is worked on at a moment: microseconds."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


class EnergyBook:
    """Aggregates, scores and verdicts; every method may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()  # one writer
        try:
            self._connection = duckdb.connect(str(path))
            self._connection.execute(f"SET memory_limit = '{usual_memory_mib() // 2:d}MiB'")
            for name, schema in _TABLES.items():
                columns = ", ".join(f"{field.name} {_SQL_TYPES[field.type]}" for field in schema)
                self._connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        except duckdb.Error as error:
            raise unavailable(path, error) from error

    def close(self) -> None:
        """Writes the log into the file and closes it, if nobody else has it open or reads."""
        with self._lock:
            let_go(self._connection)

    def replace(self, worked: pa.Table, written: dict[str, pa.Table], at: datetime) -> None:
        """Puts new rows in the place of all that is there for some meters' days.

        Args:
            worked: The days that were worked on: columns ``meter`` and ``day``.
            written: By table, its new rows.
            at: Now.
        """
        if not worked.num_rows:
            return
        with self._lock, self._cursor() as cursor:
            cursor.register("worked", worked)
            cursor.begin()  # what is not committed goes with the cursor
            fresh = written | {"workings": _numbered(cursor, worked, at)}
            for name in _TABLES:
                self._replace(cursor, name, fresh.get(name))
            cursor.commit()

    @staticmethod
    def _replace(cursor: duckdb.DuckDBPyConnection, name: str, rows: pa.Table | None) -> None:
        cursor.execute(
            f"DELETE FROM {name} WHERE day BETWEEN (SELECT min(day) FROM worked)"  # noqa: S608 - ours
            " AND (SELECT max(day) FROM worked) AND (meter, day) IN (SELECT meter, day FROM worked)"
        )
        if rows is not None and rows.num_rows:
            cursor.register("fresh", rows)
            cursor.execute(f"INSERT INTO {name} SELECT * FROM fresh ORDER BY meter, day")  # noqa: S608
            cursor.unregister("fresh")

    def rows(self, query: str, **names: Any) -> list[Row]:
        """Returns what a query finds; names are its parameters."""
        with self._cursor() as cursor:
            return cursor.execute(query, names).fetchall()

    def workings(self, after: int, until: int, limit: int) -> list[Working]:
        """Returns days whose number is in ``after < number <= until``, lowest first."""
        return [
            Working(*row) for row in self.rows(_WORKINGS, after=after, until=until, limit=limit)
        ]

    def columns(self, query: str, **names: Any) -> dict[str, Any]:
        """Returns what a query finds as numpy columns."""
        with self._cursor() as cursor:
            found: dict[str, Any] = cursor.execute(query, names).fetchnumpy()
            return found

    def copy_to(self, folder: Path) -> duckdb_backup.Parts:
        """Copies the book into a new folder, for a backup, while others read and write."""
        folder.mkdir(parents=True)
        with self._cursor() as cursor:
            cursor.begin()
            return duckdb_backup.copy_tables(cursor, _TABLES, folder)

    def fill_from(self, folder: Path) -> duckdb_backup.Parts:
        """Fills an empty book from such a folder; returns what it holds, for comparison."""
        tables = [name for name in _TABLES if name != "workings" or (folder / _COPY).exists()]
        with self._lock, self._cursor() as cursor:
            return duckdb_backup.fill_tables(cursor, tables, folder)

    def expire(self, before: date) -> int:
        """Removes the days before a day; returns how many rows of scores went."""
        with self._lock, self._cursor() as cursor:
            went = cursor.execute("DELETE FROM scores WHERE day < ?", [before]).fetchone()
            for name in ("days", "verdicts", "workings"):
                cursor.execute(f"DELETE FROM {name} WHERE day < ?", [before])  # noqa: S608 - ours
            return int(went[0]) if went else 0

    def erase(self, meter: str, first: date = date.min, last: date = date.max) -> int:
        """Removes one meter's days, all or some, in one transaction; returns how many rows."""
        went = 0
        with self._lock, self._cursor() as cursor:
            cursor.begin()
            for name in _TABLES:
                query = f"DELETE FROM {name} WHERE meter = ? AND day BETWEEN ? AND ?"  # noqa: S608 - our own tables
                went += cursor.execute(query, [meter, first, last]).fetchall()[0][0]
            cursor.commit()
        return went

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        except duckdb.Error as error:
            raise StoreUnavailable(f"{self._path}: {error}") from error


def _numbered(cursor: duckdb.DuckDBPyConnection, worked: pa.Table, at: datetime) -> pa.Table:
    newest = cursor.execute("SELECT coalesce(max(number), 0) FROM workings").fetchall()[0][0]
    first = max(newest + 1, number_at(at))
    numbers = pa.array(range(first, first + worked.num_rows), pa.int64())
    return worked.select(["meter", "day"]).append_column("number", numbers)
