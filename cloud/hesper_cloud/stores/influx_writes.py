"""Writing groups to InfluxDB; see `influx` for the theory.

The server is what takes long, so it is kept busy: while it takes the intent, rows are sorted out
and the first lines built; while it takes a body of lines the next is built, and a few are on their
way at once.
"""

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.stores.high_water import HighWater
from hesper_cloud.stores.influx_batches import Batches
from hesper_cloud.stores.influx_commits import Commit, Commits
from hesper_cloud.stores.influx_day_sums import DaySums
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import (
    READINGS,
    as_revision,
    flag_line,
    octets_of,
    reading_lines,
    untagged,
)
from hesper_cloud.stores.influx_packing import PackedDays
from hesper_cloud.stores.influx_ql import select
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.influx_versions import Sorted, Versions
from hesper_cloud.stores.port import Flags, Group, Integers, Written
from hesper_cloud.stores.rows import Rows, Stamp, first_of_identity, merge, spread

log = logging.getLogger(__name__)

_LINES_PER_WRITE = 10_000
WRITES_AT_ONCE = 2
_CERTAIN_AFTER_S = 600.0  # the server takes no longer over a write that nobody waits for
_DAY_S, _MARGIN_S = 86_400, 3600
_CONFLICTING = int(Quality.CONFLICTING)
_LEAST_OCTETS = 256 * 1024

_Parts = Sequence[tuple[Rows, Sorted]]


class InfluxWriter:
    """Writes groups, one at a time."""

    def __init__(
        self,
        server: InfluxServer,
        layouts: Layouts,
        ledger: tuple[Batches, Commits],
        kept: tuple[DaySums | None, PackedDays | None],
        *,
        sole_writer: bool,
        keep_days: int,
    ) -> None:
        self._server = server
        self._layouts = layouts
        self._batches, self._commits = ledger
        self._days, self._packing = kept
        self._sole_writer = sole_writer
        self._keep_days = keep_days
        self._in_doubt = False
        self._certain_from = 0.0
        self._high_water = HighWater()
        self._meters: dict[str, int] = {}
        self._profiles: dict[str, int] = {}

    @property
    def profiles(self) -> list[str]:
        """The profiles that readings were stored of."""
        return list(self._profiles)

    def is_certain(self) -> bool:
        """Says, between two writes, whether the server is at none that failed."""
        return not self._in_doubt and time.monotonic() >= self._certain_from

    def learn(self) -> None:
        """Learns the newest capture of each meter and profile, and ends what was begun."""
        self._commits.load()
        query = select("last(layout)", READINGS, group_by="meter, profile")
        for table in self._server.query(query):
            meters = self._meter_keys([untagged(table.tags["meter"])])
            marks = np.array([table.rows[0][0]], dtype=np.int64)
            self._high_water.raise_to(self._profile_key(table.tags["profile"]), meters, marks)

    def _meter_keys(self, meters: Sequence[str]) -> Integers:
        keys = (self._meters.setdefault(meter, len(self._meters)) for meter in meters)
        return np.fromiter(keys, np.int64, len(meters))

    def _profile_key(self, profile: str) -> int:
        return self._profiles.setdefault(profile, len(self._profiles))

    def write(self, group: Group) -> Written:
        """Writes readings, then batch ids; see the port."""
        if self._in_doubt:
            self._commits.load()  # ends the commit of a write that failed half-way
            self._certain_from = time.monotonic() + _CERTAIN_AFTER_S
        self._in_doubt = True
        with ThreadPoolExecutor(1, "influx intent") as pool:
            commit = self._commits.next(group.blocks, group.stored_at_ms)
            intent = pool.submit(self._commits.begin, commit)
            parts = merge(group.blocks, self._meter_keys)
            found = self._kept(parts, self._sort_out(parts), group.stored_at)
            self._write_rows(parts, found, commit, intent)
        self._batches.add(group.batches, group.stored_at, self._commits.ended(commit))
        self._commits.end_again_if_late(commit)
        self._in_doubt = False
        if self._days is not None:
            self._days.settled()
        for part in parts:
            key = self._profile_key(part.profile)
            self._high_water.raise_to(key, part.meter, part.captured_at)
        new = sum(int(each.new.sum()) for each in found)
        conflicting = sum(len(each.conflicts) for each in found)
        total = sum(part.row_count for part in parts)
        masks = tuple(spread(parts, [each.new for each in found], group.blocks))
        return Written(new, total - new - conflicting, conflicting, masks)

    def _write_rows(
        self, parts: Sequence[Rows], found: Sequence[Sorted], commit: Commit, intent: Future[None]
    ) -> None:
        """Writes what is new or in conflict, once the intent is durable."""
        if void := self._void(parts, found):
            self._commits.note(void)
        stamp = Stamp(commit.stored_at_ms, commit.number)
        written = [
            (part, sorted_)
            for part, sorted_ in zip(parts, found, strict=True)
            if sorted_.new.any() or sorted_.conflicts
        ]
        self._layouts.ensure((part.profile, part.quantities) for part, _ in written)
        for bodies in (self._new_rows, self._revisions, self._flags):  # each after the one before
            self._send_all_of(_together(bodies(written, stamp)), intent)

    def _void(self, parts: Sequence[Rows], found: Sequence[Sorted]) -> list[bytes]:
        """Returns the ledger's lines that make void what was made of readings before these."""
        lines: list[bytes] = []
        for part, sorted_ in zip(parts, found, strict=True):
            late = None if self._days is None else self._days.late(part.captured_at[sorted_.new])
            if self._days is not None and late is not None:
                lines += self._days.spoil(part.profile, late)
        for part, sorted_ in zip(parts, found, strict=True):
            if self._packing is not None:
                lines += self._touch(self._packing, part, sorted_)
        return lines

    def _touch(self, packing: PackedDays, part: Rows, found: Sorted) -> list[bytes]:
        """Voids the packed days of rows that are new or get another quality."""
        changed = found.new.copy()
        changed[list(found.conflicts)] = True
        keys = part.meter[changed]

        def meters() -> list[str]:
            names = list(self._meters)
            return [names[key] for key in keys.tolist()]

        return packing.touch(part.profile, meters, part.captured_at[changed])

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
        versions.load(self._server, self._layouts, parts, suspects)
        return versions.sort_out(parts, suspects)

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

    def _new_rows(self, written: _Parts, stamp: Stamp) -> Iterator[bytes]:
        names = list(self._meters)
        for part, found in written:
            rows = part if found.new.all() else part.take(found.new)
            for each in _portions(rows.row_count):
                yield octets_of(reading_lines(rows.take(each), names, stamp))

    def _revisions(self, written: _Parts, stamp: Stamp) -> Iterator[bytes]:
        for part, found in written:
            tags = [each.revision for each in found.conflicts.values()]
            yield from _bodies(map(as_revision, self._conflicting(part, found, stamp), tags))

    def _flags(self, written: _Parts, stamp: Stamp) -> Iterator[bytes]:
        for part, found in written:
            qualities = [each.quality | _CONFLICTING for each in found.conflicts.values()]
            yield from _bodies(map(flag_line, self._conflicting(part, found, stamp), qualities))

    def _conflicting(self, part: Rows, found: Sorted, stamp: Stamp) -> list[str]:
        chosen = np.zeros(part.row_count, dtype=bool)
        chosen[list(found.conflicts)] = True
        lines: list[str] = reading_lines(part.take(chosen), list(self._meters), stamp).to_pylist()
        return lines

    def _send_all_of(self, bodies: Iterable[bytes], intent: Future[None]) -> None:
        """Writes bodies of lines in any order; on return, or error, none is under way.

        None is written before the intent of the commit is durable.
        """
        under_way: deque[Future[None]] = deque()
        with ThreadPoolExecutor(WRITES_AT_ONCE, "influx write") as pool:
            for body in bodies:
                intent.result()
                if len(under_way) == WRITES_AT_ONCE:
                    under_way.popleft().result()
                under_way.append(pool.submit(self._server.write, body, "s"))
            for written in under_way:
                written.result()


def _portions(count: int) -> Iterator[slice]:
    """Yields lines as bodies that are as long as each other, so that the last ones end together."""
    bodies = -(-count // _LINES_PER_WRITE)
    if bodies > 1:
        bodies += -bodies % WRITES_AT_ONCE
    edges = [count * body // bodies for body in range(bodies + 1)] if bodies else []
    return (slice(*edge) for edge in pairwise(edges))


def _bodies(lines: Iterable[str]) -> Iterator[bytes]:
    """Yields lines as bodies, the line feed of the last one included."""
    listed = list(lines)
    for each in _portions(len(listed)):
        yield "".join(f"{line}\n" for line in listed[each]).encode()


def _together(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """Yields bodies, small ones as one: a line takes the server as long as a thousand."""
    held = bytearray()
    for body in bodies:
        held += body
        if len(held) >= _LEAST_OCTETS:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
