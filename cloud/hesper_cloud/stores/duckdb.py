"""The embedded store: one DuckDB file, one writer, bulk inserts through Arrow, sealed days.

Theory of operation. `write` opens one transaction: it merges the group's blocks, inserts what is
certainly new (newer than the high-water mark of its meter and profile) straight away, compares the
rest with stored rows over exactly the time range it covers, keeps conflicting rows as revisions,
and stores the batch ids. DuckDB's commit returns after its log is on disk; the rows of a large
group are in the file itself by then, and no checkpoint has to move them. Days that are over move
into sorted files (`duckdb_sealing`); late rows of theirs stay in the table until the file is made
anew. A second process cannot open the file, so everything that reads it shares this process; each
read has a transaction of its own, in which table and sealed files agree.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
from hesper_contracts.batch import BatchId

from hesper_cloud.stores import duckdb_backup
from hesper_cloud.stores import duckdb_reads as reads
from hesper_cloud.stores import duckdb_streams as streams
from hesper_cloud.stores.duckdb_file import DuckDbFile, usual_memory_mib
from hesper_cloud.stores.duckdb_sealed import Damaged
from hesper_cloud.stores.duckdb_sealing import Retention, Sealing
from hesper_cloud.stores.duckdb_snapshot import Snapshot
from hesper_cloud.stores.duckdb_sums import SumOf, Sums
from hesper_cloud.stores.duckdb_writes import GroupWriter
from hesper_cloud.stores.late import Late
from hesper_cloud.stores.port import (
    Arrivals,
    Block,
    Changes,
    Fault,
    FleetSeries,
    Group,
    Integers,
    Reading,
    ReadingColumns,
    Series,
    StoreRefused,
    StoreUnavailable,
    Written,
)
from hesper_cloud.stores.rows import Rows, Stamp, merge, spread

_REFUSALS = (duckdb.DataError, duckdb.ProgrammingError, pa.ArrowInvalid, OverflowError)
_Answer = TypeVar("_Answer")


class DuckDbStore:
    """Readings in one DuckDB file; implements `hesper_cloud.stores.port.ReadingStore`.

    Args:
        path: The file; the folder of sealed days stands beside it.
        retention: How long what is kept.
        memory_mib: What DuckDB may keep in memory, in MiB; 0: by the machine's memory.
    """

    meters_at_once = 2500  # a question about some takes nearly as long as one about all

    def __init__(self, path: Path, retention: Retention | None = None, memory_mib: int = 0) -> None:
        self._file = DuckDbFile(path, memory_mib or usual_memory_mib())
        self._sealing = Sealing(self._file, retention or Retention())
        self._sums = Sums()
        self._late = Late()

    def close(self) -> None:
        """Writes the log into the file and closes it."""
        self._file.close()

    def copy_to(self, folder: Path) -> duckdb_backup.Parts:
        """Copies the whole store into a folder, for a backup, while others read and write."""
        return duckdb_backup.copy_to(self._file, folder)

    def write(self, group: Group) -> Written:
        """Stores a group in one transaction; see the port."""
        with self._file.lock:
            self._late.note(group)
            while True:
                try:
                    written, parts = self._transact(group)
                except Damaged as damage:
                    self._file.set_aside(damage)
                    continue
                except _REFUSALS as error:
                    raise StoreRefused(str(error)) from error
                except duckdb.Error as error:
                    raise StoreUnavailable(str(error)) from error
                self._remember(group, parts)
                return written

    def _transact(self, group: Group) -> tuple[Written, list[Rows]]:
        with self._file.transaction():
            stamp = Stamp(group.stored_at_ms, self._file.commit_number + 1)
            writer = GroupWriter(self._file, stamp)
            known = self._file.stored
            writer.batches({b: d for b, d in group.batches.items() if b not in known})
            parts = merge(group.blocks, self._file.catalogue.meter_keys)
            accepted, conflicting = writer.rows(parts) if parts else ([], 0)
        new = sum(int(mask.sum()) for mask in accepted)
        total = sum(part.row_count for part in parts)
        masks = tuple(spread(parts, accepted, group.blocks))
        return Written(new, total - new - conflicting, conflicting, masks), parts

    def _remember(self, group: Group, parts: Sequence[Rows]) -> None:
        self._file.commit_number += 1
        for batch in group.batches:
            self._file.stored.add(batch)
        keys = self._file.catalogue.profile_keys([part.profile for part in parts])
        for part, key in zip(parts, keys, strict=True):
            self._file.high_water.raise_to(key, part.meter, part.captured_at)
            self._file.grown += part.row_count

    def known(self, batches: Sequence[BatchId]) -> dict[BatchId, str]:
        """Returns the digests of stored batches; new ones cost no query."""
        with self._file.lock:
            likely = [batch for batch in batches if batch in self._file.stored]
        found: dict[BatchId, str] = {}
        with self._file.cursor() as cursor:
            for batch in likely:
                row = cursor.execute(
                    "SELECT digest FROM batches WHERE sequence = ? AND epoch = ? AND gateway = ?",
                    [batch.sequence, batch.epoch, batch.gateway],
                ).fetchone()
                if row:
                    found[batch] = str(row[0])
        return found

    def _asked(self, question: Callable[[Snapshot], _Answer]) -> _Answer:
        """Answers from one snapshot; asks again when sealed files came or went meanwhile."""
        glance = True
        while True:
            try:
                with self._file.snapshot(glance=glance) as view:
                    answer = question(view)
                if self._file.confirms(view):
                    return answer
                glance = False
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, Damaged):
                    raise

    def _streamed(self, question: Callable[[Snapshot], Iterator[_Answer]]) -> Iterator[_Answer]:
        """Streams from one snapshot; asks again as `_asked` does, unless something was given."""
        given = False
        while True:
            try:
                with self._file.snapshot() as view:
                    for part in question(view):
                        given = True
                        yield part
            except StoreUnavailable as error:
                if given or not isinstance(error.__cause__, Damaged):
                    raise
            else:
                return

    def readings(
        self, meter: str, profile: str | None, start: int, end: int, limit: int
    ) -> list[Reading]:
        """Returns a meter's readings, newest first; see the port."""
        return self._asked(lambda view: reads.readings(view, (meter, profile), (start, end), limit))

    def series(
        self, meter: str, profile: str, logical_name: str, start: int, end: int, step_s: int | None
    ) -> Series:
        """Returns one curve; see the port."""
        curve = (meter, profile, logical_name)
        return self._asked(lambda view: reads.series(view, curve, (start, end), step_s))

    def fleet_series(
        self,
        profile: str,
        logical_name: str,
        start: int,
        end: int,
        step_s: int,
        meters: Sequence[str] | None = None,
    ) -> FleetSeries:
        """Sums last values per step; see the port."""
        asked = SumOf(profile, logical_name, step_s, meters)
        return self._asked(lambda view: self._sums.levels(view, asked, (start, end)))

    def fleet_increase(
        self,
        profile: str,
        logical_name: str,
        start: int,
        end: int,
        step_s: int,
        meters: Sequence[str] | None = None,
    ) -> FleetSeries:
        """Sums growth per step; see the port."""
        asked = SumOf(profile, logical_name, step_s, meters)
        return self._asked(lambda view: self._sums.growth(view, asked, (start, end)))

    def captured(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> dict[str, Integers]:
        """Returns each meter's capture times; see the port."""
        return self._asked(lambda view: reads.captured(view, profile, (start, end), meters))

    def arrivals(
        self, profile: str, start: int, end: int, meters: Sequence[str]
    ) -> dict[str, Arrivals]:
        """Returns capture times and when they were stored; see the port."""
        return self._asked(lambda view: reads.arrivals(view, profile, (start, end), meters))

    def captured_times(self, meter: str, profile: str, start: int, end: int) -> Integers:
        """Returns one meter's capture times; see the port."""
        return self._asked(lambda view: reads.captured_times(view, (meter, profile), (start, end)))

    def export(self, start: int, end: int) -> Iterator[Reading]:
        """Yields all readings of a range; see the port."""
        return self._streamed(lambda view: streams.export(view, (start, end)))

    def rows(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> Iterator[ReadingColumns]:
        """Streams columns of one profile; see the port."""
        return self._streamed(lambda view: streams.rows(view, profile, (start, end), meters))

    def changes(self, cursor: str, limit: int) -> Changes:
        """Returns a page of the change feed; see the port."""
        lineage = self._file.lineage
        own = lineage.own(cursor)
        page = self._asked(lambda view: streams.changes(view, own, limit))
        return Changes(page.readings, lineage.marked(page.cursor))

    def extent(self) -> tuple[int, int] | None:
        """Returns the range that holds every reading; see the port."""
        return self._asked(streams.extent)

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        """Yields the latest row of every meter and profile; see the port."""
        return self._streamed(reads.latest_rows)

    def expire(self, before: int) -> int:
        """Removes what was captured before an instant; see the port."""
        return self._sealing.expire(before)

    def watch(self) -> None:
        """Begins to note the oldest capture that is written; see the port."""
        with self._file.lock:
            self._late.watch()

    def let_go(self, before: int) -> bool:
        """Removes what was captured before an instant, if nothing came since; see the port."""
        return self._sealing.let_go(before, self._late)

    def erase(self, meter: str, start: int | None = None, end: int | None = None) -> int:
        """Removes one meter's readings, all or those of a range; see the port."""
        return self._sealing.erase(meter, (start, end))

    def maintain(self, now: int) -> list[Fault]:
        """Seals days that are over, merges months, looks for damage; see the port."""
        return self._sealing.maintain(now)
