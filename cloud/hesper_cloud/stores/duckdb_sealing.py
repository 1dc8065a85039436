"""Days that are over become sorted Parquet files; months are merged, old days go.

Theory of operation. Everything here is one move, `_rewrite`: some sealed files and the table's rows
of the same days become one new file, and one transaction then names it in place of what it was
made of and takes those rows out of the table. Killed before the transaction, the new file is not
named and is removed at the next start; killed after it, the old files are. Rows that are committed
while the file is being written carry a higher commit number and stay in the table for the next
time, as do late rows of a sealed day, which reads find there.

What start must know of sealed days without opening them goes into two small tables in the same
transaction: ``newest`` (latest rows per meter, profile and layout) and ``marks`` (newest captures).
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_schema import COLUMN_LIST, NEWEST_COMMIT
from hesper_cloud.stores.duckdb_sealed import DAY_S, Damaged, SealedFile
from hesper_cloud.stores.duckdb_snapshot import Snapshot, manifest
from hesper_cloud.stores.port import Fault, StoreUnavailable

_TURN_S = 5.0  # a turn begins no further file after this
_FORM = "FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2"
_MONTH_RESTS_S = 3 * DAY_S  # a month is merged when nothing of it was sealed lately
_NEWEST = f"""
    SELECT {COLUMN_LIST} FROM (FROM newest UNION ALL FROM ({{rows}}))
    QUALIFY row_number() OVER (PARTITION BY meter, profile, layout
        ORDER BY least(captured_at, received_at) DESC, captured_at DESC) = 1"""  # noqa: S608 - our own column names
_MARKS = """
    SELECT profile, meter, max(mark) AS mark FROM (
        FROM marks UNION ALL SELECT profile, meter, captured_at FROM ({rows})) GROUP BY ALL"""
_WAITING = f"""
    SELECT captured_at // {DAY_S} AS day, count(*), min(stored_at_ms) FROM readings
    WHERE captured_at < ? GROUP BY day ORDER BY day"""  # noqa: S608 - an integer of ours


@dataclass(frozen=True, slots=True)
class Retention:
    """When days are sealed, and how long what is kept.

    Attributes:
        seal_after_s: Age of a day's end, and of a late row, before it goes into a file.
        seal_rows: A day with fewer rows stays in the table.
        raw_days: Days that readings are kept; 0: for ever.
        batch_days: Days that ids of stored batches are kept.
    """

    seal_after_s: int = DAY_S
    seal_rows: int = 500
    raw_days: int = 0
    batch_days: int = 400


class Sealing:
    """Seals, merges, expires and erases."""

    def __init__(self, file: DuckDbFile, retention: Retention) -> None:
        self._file = file
        self._retention = retention
        self._turn = threading.RLock()  # files are made by one thread at a time
        self._unchecked: list[str] = []
        self._checked_day = -1

    def maintain(self, now: int) -> list[Fault]:
        """Does what is due, for some seconds; returns which files are set aside."""
        deadline = time.monotonic() + _TURN_S
        with self._turn:
            try:
                self._check_some(now, deadline)
                self._seal(now, deadline)
                self._merge_months(now, deadline)
                self._let_go(now)
            except Damaged as damage:
                self._file.set_aside(damage)
            except (duckdb.Error, OSError) as error:
                raise StoreUnavailable(str(error)) from error
            self._file.folder.remove_superseded()
        return [_fault(file) for file in self._file.faults()]

    def _check_some(self, now: int, deadline: float) -> None:
        """Looks for every sealed file, and compares it with its digest once a day."""
        for damage in self._file.folder.check_lengths(self._file.sealed):
            self._file.set_aside(damage)
        online = {file.name: file for file in self._file.sealed}
        if self._checked_day != now // DAY_S:
            self._checked_day, self._unchecked = now // DAY_S, list(online)
        while self._unchecked and time.monotonic() < deadline:
            name = self._unchecked.pop()
            if name in online:
                self._file.folder.check([online[name]], anew=True)

    def _seal(self, now: int, deadline: float) -> None:
        over = (now - self._retention.seal_after_s) // DAY_S * DAY_S
        stored_before_ms = (now - self._retention.seal_after_s) * 1000
        with self._file.cursor() as cursor:
            waiting = cursor.execute(_WAITING, [over]).fetchall()
        for day, count, oldest_ms in waiting:
            covering = [
                each for each in self._file.sealed if each.first_day <= day <= each.last_day
            ]
            due = oldest_ms < stored_before_ms if covering else count >= self._retention.seal_rows
            if due and time.monotonic() < deadline:
                first = covering[0].first_day if covering else day
                self._rewrite(covering, (first, covering[0].last_day if covering else day))

    def _merge_months(self, now: int, deadline: float) -> None:
        months: dict[str, list[SealedFile]] = {}
        for file in self._file.sealed:
            months.setdefault(f"{_date(file.first_day):%Y-%m}", []).append(file)
        rested = (now - self._retention.seal_after_s - _MONTH_RESTS_S) // DAY_S
        for files in months.values():
            days = files[0].first_day, files[-1].last_day
            if len(files) > 1 and _month_end(days[0]) < rested and time.monotonic() < deadline:
                self._rewrite(files, days)

    def _let_go(self, now: int) -> None:
        """Keeps to the retention; readings go a whole sealed file at a time."""
        if self._retention.raw_days:
            before = now - self._retention.raw_days * DAY_S
            before -= before % DAY_S
            inside = [each.start for each in self._file.sealed if each.start < before < each.end]
            self.expire(min([before, *inside]))
        with self._file.transaction() as connection:
            kept_from = now - self._retention.batch_days * DAY_S
            connection.execute("DELETE FROM batches WHERE stored_at < ?", [kept_from])

    def expire(self, before: int) -> int:
        """Removes what was captured before an instant."""
        with self._turn:
            touched = [file for file in self._file.sealed if file.start < before]
            gone = self._drop([file for file in touched if file.end <= before])
            for file in touched:
                if file.end > before:
                    days = (before // DAY_S, file.last_day)
                    gone += self._rewrite([file], days, f"captured_at >= {before:d}")
            return gone + self._delete("captured_at < ?", before)

    def erase(self, meter: str) -> int:
        """Removes one meter's readings, in the table and in every sealed file."""
        key = self._file.catalogue.known_meter(meter)
        if key is None:
            return 0
        with self._turn:
            gone = self._delete("meter = ?", key)
            for file in list(self._file.sealed):
                gone += self._rewrite([file], (file.first_day, file.last_day), f"meter <> {key:d}")
            return gone

    def _delete(self, condition: str, value: int) -> int:
        """Removes rows from the tables, so that no later commit takes an earlier one's number."""
        with self._file.transaction() as connection:
            connection.execute("DELETE FROM commit_floor")
            connection.execute(f"INSERT INTO commit_floor {NEWEST_COMMIT}")
            gone = 0
            for table in ("readings", "revisions"):
                answer = connection.execute(f"DELETE FROM {table} WHERE {condition}", [value])  # noqa: S608 - our own tables
                gone += answer.fetchall()[0][0]
            connection.execute(f"DELETE FROM newest WHERE {condition}", [value])  # noqa: S608 - our own condition
        return gone

    def _drop(self, files: Sequence[SealedFile]) -> int:
        if files:
            with self._file.transaction() as connection:
                self._forget(connection, files)
            self._named_anew(files)
        return sum(file.row_count for file in files)

    def _rewrite(
        self, files: Sequence[SealedFile], days: tuple[int, int], keep: str = "true"
    ) -> int:
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
                written, summary = _write_sorted(view, files, moving, (keep, passing))
            if written:
                name, octets, digest = self._file.folder.keep(passing)
                made = SealedFile(name, *days, written, octets, digest, commit)
        finally:
            passing.unlink(missing_ok=True)  # there still when it is empty, or the disk is full
        return self._name(made, files, moving, summary)

    def _name(
        self,
        made: SealedFile | None,
        replaced: Sequence[SealedFile],
        moving: str,
        summary: dict[str, pa.Table],
    ) -> int:
        """Names a new file in place of others and of the table's rows, in one transaction."""
        with self._file.transaction() as connection:
            moved = connection.execute(f"DELETE FROM readings WHERE {moving}").fetchall()[0][0]  # noqa: S608 - integers of ours
            self._forget(connection, replaced)
            if made is not None:
                connection.execute("INSERT INTO sealed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", made)
            for table, rows in summary.items():
                connection.register("summary", rows)
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own tables
                connection.execute(f"INSERT INTO {table} FROM summary")
                connection.unregister("summary")
        self._named_anew(replaced)
        before = moved + sum(file.row_count for file in replaced)
        return int(before) - (0 if made is None else made.row_count)

    def _forget(self, connection: duckdb.DuckDBPyConnection, files: Sequence[SealedFile]) -> None:
        for file in files:
            connection.execute("DELETE FROM sealed WHERE name = ?", [file.name])

    def _named_anew(self, replaced: Sequence[SealedFile]) -> None:
        with self._file.lock:
            self._file.sealed = manifest(self._file.connection)
        self._file.folder.supersede(file.name for file in replaced)


def _write_sorted(
    view: Snapshot, files: Sequence[SealedFile], moving: str, target: tuple[str, Path]
) -> tuple[int, dict[str, pa.Table]]:
    """Writes the rows of files and table, sorted; returns their count and what start must know."""
    hot = f"SELECT {COLUMN_LIST} FROM readings WHERE {moving}"  # noqa: S608 - our own columns
    rows = f"{hot} UNION ALL {view.sealed(files)}" if files else hot
    keep, passing = target
    written = view.cursor.execute(
        f"COPY (SELECT {COLUMN_LIST} FROM ({rows}) WHERE {keep}"  # noqa: S608 - our own columns
        f" ORDER BY meter, profile, captured_at, clock_status) TO '{_escaped(passing)}'"
        f" ({_FORM})"
    ).fetchall()[0][0]
    summary = {
        table: view.cursor.sql(query.format(rows=hot)).to_arrow_table()
        for table, query in (("newest", _NEWEST), ("marks", _MARKS))
    }
    return int(written), summary


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")


def _fault(file: SealedFile) -> Fault:
    text = f"sealed file {file.name} ({file.row_count} readings) {file.aside}; it was set aside"
    return Fault(file.name, text, file.start, file.end)


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(day * DAY_S, UTC)


def _month_end(day: int) -> int:
    """Returns the last day of the month that a day is in, counted from 1970-01-01."""
    next_month = _date(day).replace(day=28) + timedelta(days=4)
    return int(next_month.replace(day=1).timestamp()) // DAY_S - 1
