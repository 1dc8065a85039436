"""Which captures of the recent days are stored, kept in memory: no look at gaps has to read them.

What ingest commits is taken as it comes. Of every meter all that is stored is read once, and again
once a day by the gap ledger; from then on both together are what the store holds. A meter that is
heard for the first time needs no reading: what came is all there is. Nothing is kept of profiles
that nobody looks at, nor from before the days that they are looked at over.

A meter that captures every quarter of an hour takes 12 octets a day and some 200 for its name and
place; captures at odd times take eight each (`hesper_cloud.gaps.kept`). Two days of 100 000 meters
are some 30 MB.

This is right only where this process stores every reading: where several consumers write one
database, each look has to read it (`hesper_cloud.settings.StoreSettings.sole_writer`).
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hesper_cloud import metrics
from hesper_cloud.db.engines import batched
from hesper_cloud.gaps.kept import NONE, Kept
from hesper_cloud.stores.port import EARLIEST, LATEST, CommittedRows, Flags, Integers

log = logging.getLogger(__name__)

AHEAD_S = 2 * 86_400
"""What a clock further ahead captured is read before its time comes: all is, once a day."""
_MANY_ARRIVED, _MOST_ARRIVED = 64, 256
"""Blocks that wait for their place: who brings one more puts them there, if nobody is at it."""
_TEETH_AT_ONCE = 500_000
_METERS_AT_ONCE = 1000


class _Arrived(NamedTuple):
    """Captures that were stored just now."""

    profile: str
    meters: Sequence[str]
    owner: Integers
    times: Integers
    stored_at: int


class Captures:
    """Follows committed rows; any thread may call anything, `reread` one at a time."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._arrived: deque[_Arrived] = deque()
        self._firsts: deque[tuple[str, Collection[str]]] = deque()
        self._came = ""  # of which profile the rows were that were taken last, if they were
        self._kept: dict[str, Kept] = {}
        self._erased: set[str] = set()
        self._losses = 0  # how often something was, or may have been, removed from the store

    def rows_committed(self, rows: CommittedRows) -> None:
        """Takes a block that is stored; the rows that were before are in it, and do no harm."""
        block = rows.block
        self._came = ""
        if block.profile in self._kept and block.row_count:
            owner = np.array(block.meter_index, dtype=np.int64)
            times = np.array(block.captured_at, dtype=np.int64)
            arrived = _Arrived(block.profile, block.meters, owner, times, rows.stored_at)
            self._came = block.profile
            self._arrived.append(arrived)
            self._relieve(len(self._arrived))

    def note(self, profile: str, firsts: Collection[str], _stored_at: int) -> None:
        """Takes meters of which nothing was stored before the rows that were taken last."""
        if firsts and profile == self._came:
            self._firsts.append((profile, firsts))

    def _relieve(self, waiting: int) -> None:
        """Flushes what has piled up; ingest waits for somebody who is at it only in the end."""
        if waiting >= _MANY_ARRIVED and self._lock.acquire(blocking=waiting >= _MOST_ARRIVED):
            try:
                self.flush()
            finally:
                self._lock.release()

    def flush(self) -> None:
        """Puts in its place what has come; where that fails, the store is asked for everything."""
        with self._lock:
            while self._arrived:
                arrived = self._arrived.popleft()
                try:
                    self._take(arrived)
                except Exception:
                    log.exception("captures could not be kept, and are read from the store again")
                    metrics.ERRORS.labels("captures", "unforeseen").inc()
                    self._kept[arrived.profile].read.clear()
                    self._firsts.clear()
                    self._came = ""
            while self._firsts:
                profile, meters = self._firsts.popleft()
                self._kept[profile].read.update(set(meters) - self._erased)

    def _take(self, arrived: _Arrived) -> None:
        profile, meters, owner, times, stored_at = arrived
        kept = self._kept[profile]
        since = stored_at - kept.span_s
        near = (times >= since) & (times < stored_at + AHEAD_S)
        if times.min() < since:
            kept.since = max(kept.since, since)
        kept.take(meters, owner[near], times[near])

    def keep(self, profile: str, span_s: int) -> None:
        """Keeps what is captured of a profile from now on, for so long."""
        with self._lock:
            kept = self._kept.setdefault(profile, Kept())
            if span_s > kept.span_s:
                kept.read.clear()
            kept.span_s = span_s

    def unread(self, profile: str, meters: Sequence[str]) -> list[str]:
        """Returns the meters of which the store has still to be asked."""
        with self._lock:
            self.flush()
            read = self._kept[profile].read
            return [meter for meter in meters if meter not in read]

    def reread(
        self,
        profile: str,
        meters: Sequence[str],
        since: int,
        ask: Callable[[], Mapping[str, Integers]],
    ) -> Mapping[str, Integers]:
        """Takes what the store says of meters in place of what was kept; returns its answer.

        What comes in while it answers may be in the answer or not, and is kept in either case.
        What was captured before ``since`` is not kept. Where something was erased or lost
        meanwhile, the store has to be asked once more.
        """
        with self._lock:
            self.flush()
            kept, losses = self._kept[profile], self._losses
            kept.since = since
            kept.empty(meters)
        found = ask()
        recent = {
            meter: times[np.searchsorted(times, since) :]
            for meter, times in ((meter, found.get(meter, NONE)) for meter in meters)
        }
        with self._lock:
            self.flush()
            kept.put(recent)
            if self._losses != losses:
                kept.read.difference_update(meters)
        return found

    def times(
        self, profile: str, meters: Sequence[str], start: int, end: int
    ) -> dict[str, Integers]:
        """Returns meters' captures in a range, ascending and distinct; of some there are none."""
        with self._lock:
            self.flush()
            return self._kept[profile].times(meters, start, end)

    def known(
        self, profile: str, meters: Sequence[str], start: int, end: int
    ) -> dict[str, Integers] | None:
        """Returns captures of a range as `times` does; None: the store has to be asked.

        It has where not all that is stored of these meters, or of so long ago, is known.
        """
        with self._lock:
            self.flush()
            kept = self._kept.get(profile)
            if kept is None or start < kept.since:
                return None
        found: dict[str, Integers] = {}
        for part in batched(meters, self.at_once(profile, _METERS_AT_ONCE)):
            with self._lock:
                if not kept.read.issuperset(part):
                    return None
                found |= self.times(profile, part, start, end)
        return found

    def at_once(self, profile: str, most: int) -> int:
        """Returns how many meters to ask for at a time: fewer where they capture often."""
        with self._lock:
            return min(most, self._kept[profile].at_once(_TEETH_AT_ONCE))

    def news(self, profile: str, meters: Sequence[str]) -> Flags:
        """Says of meters whether their captures may be others than when it was asked last."""
        with self._lock:
            self.flush()
            return self._kept[profile].news(meters)

    def forget(self, meter: str, start: int | None = None, end: int | None = None) -> None:
        """Forgets what was erased of a meter; ``start`` and ``end``, the end left out: all.

        What was stored since it was erased may go with it, so the store is asked what there is.
        """
        with self._lock:
            self.flush()
            self._losses += 1
            self._erased.add(meter)  # some may be left of what was stored before
            for kept in self._kept.values():
                kept.remove(meter, EARLIEST if start is None else start, end or LATEST + 1)
                kept.read.discard(meter)

    def doubt(self) -> None:
        """Has all that is stored read again: some of it may be lost."""
        with self._lock:
            self.flush()
            self._losses += 1
            for kept in self._kept.values():
                kept.read.clear()

    def trim(self, profile: str, before: int) -> None:
        """Forgets what was captured before an instant."""
        with self._lock:
            kept = self._kept[profile]
            kept.since = max(kept.since, before)
            kept.trim(before)
