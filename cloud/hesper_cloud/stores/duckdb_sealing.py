"""Days that are over become sorted Parquet files; months are merged, old days go.

What is due is decided here, and done by `duckdb_rewriting`, whose theory of operation says why
nothing is lost or doubled when it is killed.
"""

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from hesper_cloud.stores import duckdb_summing
from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_rewriting import Rewriting
from hesper_cloud.stores.duckdb_sealed import DAY_S, Damaged, SealedFile
from hesper_cloud.stores.late import Late
from hesper_cloud.stores.port import Fault, StoreUnavailable

_MONTH_RESTS_S = 3 * DAY_S  # a month is merged when nothing of it was sealed lately
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
        turn_s: A turn of upkeep begins nothing further after this.
    """

    seal_after_s: int = DAY_S
    seal_rows: int = 500
    raw_days: int = 0
    batch_days: int = 400
    turn_s: float = 5.0


class Sealing:
    """Seals, merges, expires and erases."""

    def __init__(self, file: DuckDbFile, retention: Retention) -> None:
        self._file = file
        self._files = Rewriting(file)
        self._retention = retention
        self._turn = threading.RLock()  # files are made by one thread at a time
        self._unchecked: list[str] = []
        self._checked_day = self._let_go_day = -1

    def maintain(self, now: int) -> list[Fault]:
        """Does what is due, for some seconds; returns whose readings are lost with their file."""
        deadline = time.monotonic() + self._retention.turn_s
        with self._turn:
            try:
                self._check_some(now, deadline)
                if self._let_go_day != now // DAY_S:  # first: what follows needs room on the disk
                    self._let_go(now)
                    self._let_go_day = now // DAY_S
                    self._file.folder.remove_superseded()
                self._seal(now, deadline)
                self._merge_months(now, deadline)
                duckdb_summing.keep(self._file, deadline)
            except Damaged as damage:
                self._file.set_aside(damage)
            except (duckdb.Error, OSError) as error:
                raise StoreUnavailable(str(error)) from error
            self._file.folder.remove_superseded()
        return [_fault(file) for file in self._file.faults() if not self._is_back(file)]

    def _is_back(self, file: SealedFile) -> bool:
        """Says whether there are as many readings of a damaged file's days as it held."""
        with self._file.snapshot() as view:
            query = f"""
                SELECT count(*) FROM {view.stored((file.start, file.end))}
                WHERE captured_at >= ? AND captured_at < ?"""  # noqa: S608 - our own
            found = view.cursor.execute(query, [file.start, file.end]).fetchall()[0][0]
        return bool(found >= file.row_count)

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
        sealed_to = -1
        for day, count, oldest_ms in waiting:
            if day <= sealed_to:  # its rows went with those of an earlier day of its file
                continue
            covering = [
                each for each in self._file.sealed if each.first_day <= day <= each.last_day
            ]
            due = oldest_ms < stored_before_ms if covering else count >= self._retention.seal_rows
            if due and time.monotonic() < deadline:
                days = (covering[0].first_day, covering[0].last_day) if covering else (day, day)
                self._files.rewrite(covering, days)
                sealed_to = days[1]
        if sealed_to >= 0:
            self._file.forget_deleted()

    def _merge_months(self, now: int, deadline: float) -> None:
        months: dict[str, list[SealedFile]] = {}
        for file in self._file.sealed:
            months.setdefault(f"{_date(file.first_day):%Y-%m}", []).append(file)
        rested = (now - self._retention.seal_after_s - _MONTH_RESTS_S) // DAY_S
        for files in months.values():
            days = files[0].first_day, files[-1].last_day
            if len(files) > 1 and _month_end(days[0]) < rested and time.monotonic() < deadline:
                self._files.rewrite(files, days)

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
            gone = self._files.drop([file for file in touched if file.end <= before])
            for file in touched:
                if file.end > before:
                    days = (before // DAY_S, file.last_day)
                    gone += self._files.rewrite([file], days, f"captured_at >= {before:d}")
            return gone + self._files.delete("captured_at < ?", before)

    def let_go(self, before: int, late: Late) -> bool:
        """Removes what was captured before an instant, unless something of it came lately."""
        with self._turn, self._file.lock:  # in this order, as everything here
            if late.is_before(before):
                return False
            self.expire(before)
            return True

    def erase(self, meter: str, span: tuple[int | None, int | None] = (None, None)) -> int:
        """Removes one meter's readings, in the table and in every sealed file that has some.

        Those of a span of capture times alone, its end left out, where it has a beginning or end.

        Killed in between it leaves whole files; done again it goes on with those that are left.

        Raises:
            StoreUnavailable: a file is damaged (it is set aside then), or the disk is full.
        """
        key = self._file.catalogue.known_meter(meter)
        if key is None:
            return 0
        try:
            with self._turn:
                return self._erase(key, span)
        except (duckdb.Error, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    def _erase(self, key: int, span: tuple[int | None, int | None]) -> int:
        start, end = span
        within = "" if start is None else f" AND captured_at >= {start:d}"
        within += "" if end is None else f" AND captured_at < {end:d}"
        gone = self._files.delete(f"meter = ?{within}", key)
        for file in list(self._file.sealed):
            beside = (end is not None and file.start >= end) or (
                start is not None and file.end <= start
            )
            if not beside and self._files.holds(file, key):
                days = file.first_day, file.last_day
                gone += self._files.rewrite([file], days, f"NOT (meter = {key:d}{within})")
        if span != (None, None):
            self._files.find_newest(key)
        self._file.folder.remove_superseded()
        return gone


def _fault(file: SealedFile) -> Fault:
    text = f"sealed file {file.name} ({file.row_count} readings) {file.aside}; it was set aside"
    return Fault(file.name, text, file.start, file.end)


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(day * DAY_S, UTC)


def _month_end(day: int) -> int:
    """Returns the last day of the month that a day is in, counted from 1970-01-01."""
    next_month = _date(day).replace(day=28) + timedelta(days=4)
    return int(next_month.replace(day=1).timestamp()) // DAY_S - 1
