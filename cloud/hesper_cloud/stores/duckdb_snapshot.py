"""One consistent view of the embedded store: the table and the sealed files that belong to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
from hesper_contracts.quality import Quality

from hesper_cloud.stores.duckdb_schema import COLUMN_LIST, COLUMNS, Catalogue
from hesper_cloud.stores.duckdb_sealed import DAY_S, Folder, SealedFile
from hesper_cloud.stores.port import EARLIEST, LATEST

Range = tuple[int, int]
Row = tuple[Any, ...]

IDENTITY = "meter, profile, captured_at, clock_status"
_OF_METER = "rows_of_one_meter"
_NO_ROWS = "readings WHERE false"
_MANIFEST = "SELECT * FROM sealed WHERE aside IS NULL ORDER BY first_day"


def manifest(connection: duckdb.DuckDBPyConnection) -> list[SealedFile]:
    """Returns the sealed files that count, as the connection's transaction sees them."""
    return [SealedFile(*row) for row in connection.execute(_MANIFEST).fetchall()]


def stored(
    connection: duckdb.DuckDBPyConnection,
    sealed_rows: str | None,
    span: Range,
    names: Sequence[str] = COLUMNS,
) -> str:
    """Returns the SQL of all first versions of a range, from the table and from sealed files.

    A sealed row cannot be flagged in its place: that it has revisions is said by their table.

    Args:
        connection: Where it will be asked.
        sealed_rows: What the sealed rows are selected from; None where there are none.
        span: The range, epoch seconds.
        names: The columns wanted, the identity's and the quality among them.
    """
    where = f"captured_at >= {span[0]:d} AND captured_at < {span[1]:d}"
    table = f"SELECT {', '.join(names)} FROM readings WHERE {where}"  # noqa: S608 - our own columns
    if sealed_rows is None:
        return f"({table})"
    revised = f"SELECT ({IDENTITY}) FROM revisions WHERE {where}"  # noqa: S608 - our own columns
    columns = list(names)
    if connection.execute(f"{revised} LIMIT 1").fetchall():
        flagged = (
            f"CASE WHEN ({IDENTITY}) IN ({revised}) THEN {int(Quality.CONFLICTING)} ELSE 0 END"
        )
        columns[columns.index("quality")] = f"(quality | {flagged})::INTEGER AS quality"
    sealed = f"SELECT {', '.join(columns)} FROM {sealed_rows} WHERE {where}"  # noqa: S608 - our own columns
    return f"({table} UNION ALL {sealed})"


def parquet(folder: Path, files: Sequence[SealedFile]) -> str | None:
    """Returns what the rows of sealed files are selected from; None without files."""
    if not files:
        return None
    paths = ", ".join("'" + str(folder / file.name).replace("'", "''") + "'" for file in files)
    return f"read_parquet([{paths}])"


class Snapshot:
    """A cursor in a transaction of its own, with the sealed files that it sees.

    At a glance (`is_glance`) the files are those that counted just before: the answer is good if
    none was named or replaced until it was there, which `DuckDbFile.confirms` says.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        catalogue: Catalogue,
        folder: Folder,
        files: Sequence[SealedFile] | None = None,
    ) -> None:
        """Takes the files from the cursor's transaction, unless the caller knows them."""
        self.cursor = cursor
        self.catalogue = catalogue
        self.used: list[SealedFile] = []
        self._folder = folder
        self.listed = manifest(cursor) if files is None else files
        self.is_glance = files is not None

    def files(self, span: Range, after_commit: int = -1) -> list[SealedFile]:
        """Returns sealed files that may hold rows of a range, checked.

        Raises:
            Damaged: one of them must be set aside first.
        """
        found = [
            file
            for file in self.listed
            if file.start < span[1] and span[0] < file.end and file.last_commit >= after_commit
        ]
        self.used = found
        self._folder.check(found)
        return found

    def stored(self, span: Range, after_commit: int = -1, columns: Sequence[str] = COLUMNS) -> str:
        """Returns the SQL of all first versions of a range."""
        files = parquet(self._folder.path, self.files(span, after_commit))
        return stored(self.cursor, files, span, columns)

    def of_meter(self, meter: int, span: Range, columns: Sequence[str] = COLUMNS) -> str:
        """Returns the SQL of one meter's first versions of a range, and of others in the table."""
        return stored(self.cursor, self._sealed_of(meter, span, columns), span, columns)

    def _sealed_of(self, meter: int, span: Range, columns: Sequence[str] = COLUMNS) -> str | None:
        names = [file.name for file in self.files(span)]
        rows = self._folder.row_groups.rows_of(names, meter, columns)
        if rows is None:
            return None
        self.cursor.register(_OF_METER, rows)
        return _OF_METER

    def sealed(self, files: Sequence[SealedFile]) -> str:
        """Returns the SQL of all rows of some sealed files, checked.

        Raises:
            Damaged: one of them must be set aside first.
        """
        self._folder.check(files)
        return f"SELECT {COLUMN_LIST} FROM {parquet(self._folder.path, files)}"  # noqa: S608 - our own columns

    def sealed_of(self, meter: int) -> str:
        """Returns the SQL of all of one meter's sealed rows."""
        return f"FROM {self._sealed_of(meter, (EARLIEST, LATEST + 1)) or _NO_ROWS}"

    def days_in_table(self, span: Range) -> set[int]:
        """Returns the days of a range that have rows in the table; they count from 1970-01-01."""
        days = "SELECT DISTINCT captured_at // ? FROM readings"
        within = "WHERE captured_at >= ? AND captured_at < ?"
        rows = self.cursor.execute(f"{days} {within}", [DAY_S, *span]).fetchall()
        return {day for (day,) in rows}

    def extents(self) -> list[Range]:
        """Returns the ranges of all sealed files."""
        return [(file.start, file.end) for file in self.listed]
