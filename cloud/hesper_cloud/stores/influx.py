"""Readings in InfluxDB 1.x or 2.x.

Theory of operation. InfluxDB has no transactions: readings are written first, batch ids last, and
a crash in between means that the batch is sent again and its points are found equal. What must
outlive the readings' retention (batch ids, layouts, commits) is in a database of its own, the
ledger. Points of the same identity overwrite each other, so everything that may be stored already
(at or below the high-water mark of its meter and profile) is read and compared before anything is
written: equal rows are not written again, differing ones become revisions. The marks are this
process's own and hold while it is the only writer of its database; with ``sole_writer=False`` every
row is compared.
"""

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
from hesper_contracts.batch import BatchId

from hesper_cloud.stores import influx_lineage
from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores import influx_streams as streams
from hesper_cloud.stores.blocks import blocks_of
from hesper_cloud.stores.influx_batches import Batches
from hesper_cloud.stores.influx_commits import Commits, changes
from hesper_cloud.stores.influx_curves import CurveOf, Curves
from hesper_cloud.stores.influx_day_sums import DaySums
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import DAYS, PACKED, READINGS, REVISIONS, SUMS, tag
from hesper_cloud.stores.influx_packed import DAY_S
from hesper_cloud.stores.influx_packing import PackedDays
from hesper_cloud.stores.influx_ql import of_meter, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.influx_summing import Summing
from hesper_cloud.stores.influx_sums import SumOf, Sums
from hesper_cloud.stores.influx_writes import InfluxWriter
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
    Written,
)


class InfluxStore:
    """Readings in InfluxDB; implements `hesper_cloud.stores.port.ReadingStore`."""

    meters_at_once = 100

    def __init__(
        self,
        server: InfluxServer,
        *,
        sole_writer: bool = True,
        keep_days: int = 0,
        is_archived: bool = False,
        feed_behind_s: float = 5.0,
    ) -> None:
        """Speaks to a server when it is first used.

        Args:
            server: The database for readings; what is kept for ever is beside it.
            sole_writer: Nobody else writes this database.
            keep_days: The readings' retention, 0: for ever, or what the server has.
            is_archived: They leave by `let_go` alone: the server is to keep them for ever.
            feed_behind_s: How far the change feed keeps behind other writers' clocks.
        """
        self._server = server
        self._ledger = server.ledger()
        self._keep_days = keep_days
        self._is_archived = is_archived
        self._late = Late()
        self._lock = threading.RLock()  # one writer
        self._prepared = self._shared = False
        self._layouts = Layouts(self._ledger, sole_writer=sole_writer)
        self._batches = Batches(self._ledger, sole_writer=sole_writer)
        self._commits = Commits(self._ledger, sole_writer=sole_writer, behind_s=feed_behind_s)
        ledger = (self._batches, self._commits)
        self._days = DaySums(self._ledger, keep_days=keep_days) if sole_writer else None
        self._sums = Sums(server, self._layouts, self._days)
        self._packing = self._packed_days() if sole_writer else None
        self._summing = self._summing_up()
        self._curves = Curves(server, self._layouts, self._packing)
        kept = (self._days, self._packing)
        self._writer = InfluxWriter(
            server, self._layouts, ledger, kept, sole_writer=sole_writer, keep_days=keep_days
        )

    def _packed_days(self) -> PackedDays:
        servers, kept = (self._server, self._ledger), self._keep_days
        return PackedDays(servers, self._layouts, keep_days=kept, writing=self._lock)

    def _summing_up(self) -> Summing | None:
        if self._days is None or self._packing is None:
            return None
        kept = self._days, self._packing
        return Summing(self._server, self._layouts, kept, writing=self._lock)

    def close(self) -> None:
        """Closes connections."""
        self._server.close()
        self._ledger.close()

    def prepare(self) -> None:
        """Makes databases with their retention and learns what is stored; once, when needed."""
        if not self._prepared:  # asked without the lock: no reader waits for a group's write
            self._prepare()

    def _prepare(self) -> None:
        with self._lock:
            if self._prepared:
                return
            self._server.prepare(self._keep_days, is_for_ever=self._is_archived)
            self._ledger.prepare()
            self._layouts.load()
            self._lineage = influx_lineage.learn(self._ledger)
            if self._days is not None:
                self._days.load()
            self._writer.learn()
            if self._packing is not None:
                self._packing.load(self._writer.profiles, lambda: streams.extent(self._server))
            self._prepared = True

    def write(self, group: Group) -> Written:
        """Writes readings, then batch ids; see the port."""
        with self._lock:
            self.prepare()
            self._forget_what_a_sole_writer_made()
            self._late.note(group)
            return self._writer.write(group)

    def _forget_what_a_sole_writer_made(self) -> None:
        """Deletes, before the first write of one of several writers, what none of them voids."""
        if self._packing is None and not self._shared:
            self._server.delete(PACKED)
            for measurement in (DAYS, SUMS):
                self._ledger.delete(measurement)
            self._shared = True

    def known(self, batches: Sequence[BatchId]) -> dict[BatchId, str]:
        """Returns the digests of stored batches; see the port."""
        self.prepare()
        return self._batches.known(batches)

    def is_new(self) -> bool:
        """Says whether nothing was ever stored here: no reading, and no commit in the ledger."""
        self.prepare()
        return self._commits.newest == 0 and self.extent() is None

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
        return self._curves.series(CurveOf(meter, profile, logical_name), (start, end), step_s)

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
        asked = SumOf(profile, logical_name, step_s, meters)
        return self._sums.levels(asked, (start, end))

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
        asked = SumOf(profile, logical_name, step_s, meters)
        return self._sums.growth(asked, (start, end))

    def captured(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> dict[str, Integers]:
        """Returns each meter's capture times; see the port."""
        self.prepare()
        return reads.captured(self._server, profile, (start, end), meters)

    def arrivals(
        self, profile: str, start: int, end: int, meters: Sequence[str]
    ) -> dict[str, Arrivals]:
        """Returns capture times and when they were stored; see the port."""
        self.prepare()
        return reads.arrivals(self._server, profile, (start, end), meters)

    def captured_times(self, meter: str, profile: str, start: int, end: int) -> Integers:
        """Returns one meter's capture times; see the port."""
        self.prepare()
        found = reads.captured(self._server, profile, (start, end), [meter])
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
        own = self._lineage.own(cursor)
        page = changes(self._server, self._layouts, self._commits, own, limit)
        return Changes(page.readings, self._lineage.marked(page.cursor))

    def extent(self) -> tuple[int, int] | None:
        """Returns the range that holds every reading; see the port."""
        self.prepare()
        return streams.extent(self._server)

    def expire(self, before: int) -> None:
        """Removes what was captured before an instant; see the port."""
        self.prepare()
        self._delete(None, before, None)

    def watch(self) -> None:
        """Begins to note the oldest capture that is written; see the port."""
        with self._lock:
            self._late.watch()

    def let_go(self, before: int) -> bool:
        """Removes what was captured before an instant, if nothing came since; see the port."""
        self.prepare()
        with self._lock:
            if self._late.is_before(before):
                return False
            self._delete(None, before, None)
            return True

    def erase(self, meter: str, start: int | None = None, end: int | None = None) -> None:
        """Removes one meter's readings, all or those of a range; see the port."""
        self.prepare()
        self._delete(tag(meter), end, start)

    def _delete(self, meter: str | None, before: int | None, since: int | None) -> None:
        """Deletes readings; nothing made of them that is kept, or being made, outlives them."""
        if self._days is not None:
            self._days.forget(before, since)
        try:
            with self._lock:  # no day is packed meanwhile
                for measurement in (READINGS, REVISIONS):
                    self._server.delete(measurement, meter, before, since)
                first = None if since is None else since - since % DAY_S
                self._server.delete(PACKED, meter, before, first)
        finally:  # a server that did not answer in time may have deleted all the same
            if self._days is not None:
                self._days.forget(before, since)

    def maintain(self, now: int) -> list[Fault]:
        """Packs days that are over and sums them up; the rest is the server's; see the port."""
        self.prepare()
        begun = time.monotonic()
        try:
            if self._packing is not None:
                self._packing.pack(now, self._writer.is_certain)
        finally:
            if self._summing is not None:
                self._summing.sum_up(now, self._writer.is_certain, begun)
        return []

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        """Yields the latest rows; see the port."""
        self.prepare()
        yield from blocks_of(reads.latest(self._server, self._layouts, int(time.time())))
