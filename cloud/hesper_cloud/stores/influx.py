"""Readings in InfluxDB 1.x or 2.x.

Theory of operation. InfluxDB has no transactions: readings are written first, batch ids last, and
a crash in between means that the batch is sent again and its points are found equal. What
must outlive the readings' retention (batch ids, layouts, commits) is in a database of
its own, the ledger. Points of the
same identity overwrite each other, so everything that may be stored already (at or below the
high-water mark of its meter and profile) is read and compared before anything is written: equal
rows are not written again, differing ones become revisions. The marks are this process's own and
hold while it is the only writer of its database; with ``sole_writer=False`` every row is compared.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from hesper_contracts.batch import BatchId
from hesper_contracts.quality import Quality

from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores import influx_streams as streams
from hesper_cloud.stores.blocks import blocks_of
from hesper_cloud.stores.high_water import HighWater
from hesper_cloud.stores.influx_batches import Batches
from hesper_cloud.stores.influx_commits import Commits, changes
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import (
    READINGS,
    REVISIONS,
    as_revision,
    flag_line,
    reading_lines,
    tag,
    untagged,
)
from hesper_cloud.stores.influx_ql import of_meter, select, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.influx_versions import Sorted, Versions
from hesper_cloud.stores.port import (
    Block,
    Changes,
    Fault,
    Flags,
    FleetSeries,
    Group,
    Integers,
    Reading,
    ReadingColumns,
    Series,
    Written,
)
from hesper_cloud.stores.rows import Rows, Stamp, first_of_identity, merge, spread

log = logging.getLogger(__name__)

_LINES_PER_WRITE = 20_000
_DAY_S, _MARGIN_S = 86_400, 3600
_CONFLICTING = int(Quality.CONFLICTING)


class InfluxStore:
    """Readings in InfluxDB; implements `hesper_cloud.stores.port.ReadingStore`."""

    def __init__(
        self,
        server: InfluxServer,
        *,
        sole_writer: bool = True,
        keep_days: int = 0,
        feed_behind_s: float = 5.0,
    ) -> None:
        """Speaks to a server when it is first used.

        Args:
            server: The database for readings; what is kept for ever is beside it.
            sole_writer: Nobody else writes this database.
            keep_days: The readings' retention, 0: for ever.
            feed_behind_s: How far the change feed keeps behind other writers' clocks.
        """
        self._server = server
        self._ledger = server.ledger()
        self._keep_days = keep_days
        self._sole_writer = sole_writer
        self._lock = threading.RLock()  # one writer
        self._prepared = False
        self._in_doubt = False
        self._layouts = Layouts(self._ledger)
        self._batches = Batches(self._ledger, sole_writer=sole_writer)
        self._commits = Commits(self._ledger, sole_writer=sole_writer, behind_s=feed_behind_s)
        self._high_water = HighWater()
        self._meters: dict[str, int] = {}
        self._profiles: dict[str, int] = {}

    def close(self) -> None:
        """Closes connections."""
        self._server.close()
        self._ledger.close()

    def prepare(self) -> None:
        """Makes databases with their retention and learns what is stored; once, when needed."""
        with self._lock:
            if self._prepared:
                return
            self._server.prepare(self._keep_days)
            self._ledger.prepare()
            self._layouts.load()
            self._commits.load()
            query = select("last(layout)", READINGS, group_by="meter, profile")
            for table in self._server.query(query):
                meters = self._meter_keys([untagged(table.tags["meter"])])
                marks = np.array([table.rows[0][0]], dtype=np.int64)
                self._high_water.raise_to(self._profile_key(table.tags["profile"]), meters, marks)
            self._prepared = True

    def _meter_keys(self, meters: Sequence[str]) -> Integers:
        keys = (self._meters.setdefault(meter, len(self._meters)) for meter in meters)
        return np.fromiter(keys, np.int64, len(meters))

    def _profile_key(self, profile: str) -> int:
        return self._profiles.setdefault(profile, len(self._profiles))

    def write(self, group: Group) -> Written:
        """Writes readings, then batch ids; see the port."""
        with self._lock:
            self.prepare()
            parts = merge(group.blocks, self._meter_keys)
            found = self._kept(parts, self._sort_out(parts), group.stored_at)
            if self._in_doubt:
                self._commits.load()  # ends the commit of a write that failed half-way
            self._in_doubt = True
            self._send_all(parts, found, group.stored_at_ms)
            self._batches.add(group.batches, group.stored_at)
            self._in_doubt = False
            for part in parts:
                key = self._profile_key(part.profile)
                self._high_water.raise_to(key, part.meter, part.captured_at)
            new = sum(int(each.new.sum()) for each in found)
            conflicting = sum(len(each.conflicts) for each in found)
            total = sum(part.row_count for part in parts)
            masks = tuple(spread(parts, [each.new for each in found], group.blocks))
            return Written(new, total - new - conflicting, conflicting, masks)

    def _send_all(self, parts: Sequence[Rows], found: Sequence[Sorted], stored_at_ms: int) -> None:
        """Writes what is new or in conflict, between an intent and its commit."""
        if not any(each.new.any() or each.conflicts for each in found):
            return
        commit = self._commits.begin(parts, stored_at_ms)
        for part, sorted_ in zip(parts, found, strict=True):
            self._layouts.ensure(part.quantities)
            self._send(part, sorted_, Stamp(stored_at_ms, commit.number))
        self._commits.end(commit)

    def _sort_out(self, parts: Sequence[Rows]) -> list[Sorted]:
        """Says of every row whether it is new, there already, or in conflict."""
        if not parts:
            return []
        keys = [self._profile_key(part.profile) for part in parts]
        firsts = first_of_identity(parts, keys)
        suspects = [self._suspect(part, key) for part, key in zip(parts, keys, strict=True)]
        if not all(first.all() for first in firsts):  # the rows that are repeated matter too
            suspects = [np.ones(part.row_count, dtype=bool) for part in parts]
        versions = Versions(list(self._meters))
        for part, suspect in zip(parts, suspects, strict=True):
            versions.load(self._server, self._layouts, part, suspect)
        return [
            versions.sort_out(part, suspect) for part, suspect in zip(parts, suspects, strict=True)
        ]

    def _kept(self, parts: Sequence[Rows], found: list[Sorted], stored_at: int) -> list[Sorted]:
        """Leaves out what the server's retention would refuse, and with it the whole write."""
        if not self._keep_days:
            return found
        horizon = stored_at - self._keep_days * _DAY_S + _MARGIN_S
        kept = [
            each.where(part.captured_at >= horizon) for part, each in zip(parts, found, strict=True)
        ]
        lost = sum(int(a.new.sum() - b.new.sum()) for a, b in zip(found, kept, strict=True))
        if lost:
            log.warning("%d readings are older than the %d days kept", lost, self._keep_days)
        return kept

    def _suspect(self, part: Rows, profile_key: int) -> Flags:
        if not self._sole_writer:
            return np.ones(part.row_count, dtype=bool)
        return self._high_water.at_or_below(profile_key, part.meter, part.captured_at)

    def _send(self, part: Rows, found: Sorted, stamp: Stamp) -> None:
        names = list(self._meters)
        new = part if found.new.all() else part.take(found.new)
        self._send_lines(list(reading_lines(new, names, stamp)))
        if found.conflicts:
            chosen = np.zeros(part.row_count, dtype=bool)
            chosen[list(found.conflicts)] = True
            lines = list(reading_lines(part.take(chosen), names, stamp))
            qualities = [quality | _CONFLICTING for quality in found.conflicts.values()]
            self._send_lines([as_revision(line) for line in lines])
            self._send_lines(list(map(flag_line, lines, qualities)))

    def _send_lines(self, lines: Sequence[str]) -> None:
        for start in range(0, len(lines), _LINES_PER_WRITE):
            chunk = "\n".join(lines[start : start + _LINES_PER_WRITE])
            self._server.write(chunk.encode(), "s")

    def known(self, batches: Sequence[BatchId]) -> dict[BatchId, str]:
        """Returns the digests of stored batches; see the port."""
        self.prepare()
        return self._batches.known(batches)

    def readings(
        self, meter: str, profile: str | None, start: int, end: int, limit: int
    ) -> list[Reading]:
        """Returns a meter's readings, newest first; see the port."""
        self.prepare()
        where = of_meter(meter, profile, (start, end))
        found = list(reads.versions(self._server, self._layouts, where))
        found.sort(key=lambda reading: (-reading.captured_at, reading.revision))
        return found[:limit]

    def series(
        self, meter: str, profile: str, logical_name: str, start: int, end: int, step_s: int | None
    ) -> Series:
        """Returns one curve; see the port."""
        self.prepare()
        curve = (meter, profile, logical_name)
        return reads.series(self._server, self._layouts, curve, (start, end), step_s)

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
        self.prepare()
        asked = reads.SumOf(profile, logical_name, step_s, meters)
        return reads.fleet_series(self._server, self._layouts, asked, (start, end))

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
        self.prepare()
        asked = reads.SumOf(profile, logical_name, step_s, meters)
        return reads.fleet_increase(self._server, self._layouts, asked, (start, end))

    def captured(self, profile: str, start: int, end: int) -> dict[str, Integers]:
        """Returns each meter's capture times; see the port."""
        self.prepare()
        return reads.captured(self._server, profile, (start, end))

    def captured_times(self, meter: str, profile: str, start: int, end: int) -> Integers:
        """Returns one meter's capture times; see the port."""
        self.prepare()
        found = reads.captured(self._server, profile, (start, end), meter)
        return found.get(meter, np.empty(0, dtype=np.int64))

    def export(self, start: int, end: int) -> Iterator[Reading]:
        """Yields all readings of a range; see the port."""
        self.prepare()
        yield from reads.versions(self._server, self._layouts, within((start, end)))

    def rows(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> Iterator[ReadingColumns]:
        """Streams columns of one profile; see the port."""
        self.prepare()
        yield from streams.rows(self._server, self._layouts, profile, (start, end), meters)

    def changes(self, cursor: str, limit: int) -> Changes:
        """Returns a page of the change feed; see the port."""
        self.prepare()
        return changes(self._server, self._layouts, self._commits, cursor, limit)

    def extent(self) -> tuple[int, int] | None:
        """Returns the range that holds every reading; see the port."""
        self.prepare()
        return streams.extent(self._server)

    def expire(self, before: int) -> None:
        """Removes what was captured before an instant; see the port."""
        self.prepare()
        for measurement in (READINGS, REVISIONS):
            self._server.delete(measurement, before=before)

    def erase(self, meter: str) -> None:
        """Removes one meter's readings; see the port."""
        self.prepare()
        for measurement in (READINGS, REVISIONS):
            self._server.delete(measurement, meter=tag(meter))

    def maintain(self, now: int) -> list[Fault]:
        """Leaves maintenance to the server; see the port."""
        del now
        return []

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        """Yields the latest rows; see the port."""
        self.prepare()
        yield from blocks_of(reads.latest(self._server, self._layouts, int(time.time())))
