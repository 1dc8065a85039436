"""The outbox: batches with fixed octets, kept until the cloud has signed that it stored them.

Theory of operation
-------------------
Every batch gets the next sequence of this database's random epoch and is sealed once, inside the
transaction that stores it; its octets never change again, however often they are sent. A batch
leaves the backlog only through `Outbox.release`, when a receipt that was verified repeats its
digest. Nothing is marked as sent.

Released batches stay, the oldest going first when the quota needs the room, so that a cloud
restored from a backup can be given them again. Batches that the cloud rejected for good are set
aside in the same way and go last. Order and expiry go by sequence, never by a clock.

An outbox that was put back from an older copy begins a new epoch as soon as a receipt shows it, see
`epochs`. It cannot go back while its file is open, so it does so once in a process at most. The
rest of the database went back with it, so in the same transaction the journal of commands counts as
a new one, that none of before this start is executed twice, and what invocation counters may have
been used since the copy was made is skipped.

The quota counts octets of payload. From 80 % the backlog is alarming; at 100 %, or when the disk is
full, readings are refused with `OutboxFull` (their meter still has them), while results and events
are always taken. Who is about to fetch readings asks before, and is refused a little earlier.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice

from hesper_contracts import batch, events, readings, results
from hesper_contracts.again import SendAgain
from hesper_contracts.frame import Kind
from hesper_contracts.receipts import ReceiptList
from hesper_contracts.signing import Signer

from hesper_gateway import batches, counters, epochs, journal
from hesper_gateway import progress as marks
from hesper_gateway.ballast import BALLAST_OCTETS
from hesper_gateway.batches import Batch, NewBatch
from hesper_gateway.database import Database, Job, StorageFull
from hesper_gateway.epochs import Anew
from hesper_gateway.errors import GatewayError

log = logging.getLogger(__name__)

DEFAULT_QUOTA_OCTETS = 512 * 1024 * 1024
ALARM_PERCENT = 80
LARGEST_BODY = batch.MAX_PAYLOAD - 64
EVENTS_PER_BATCH = 1000
RESERVE_PART = 20
"""Of what part of the quota, or a largest batch, must be free where readings are to be fetched."""
_Appended = tuple[int, int, int]
"""Sequence, its octets, octets evicted for it."""


class OutboxFull(GatewayError):
    """No room for readings: stop polling, the meters keep them; goes on when receipts arrive."""


def _nobody() -> None:
    """Nobody wants to know."""


class Outbox:
    """The gateway's outbox; all its methods belong to the event loop's thread.

    Args:
        database: Where everything lives.
        signer: The gateway's own key, which signs results.
        quota_octets: Room for payloads, released ones included.
        clock: Present time, for the age of the backlog only.

    Attributes:
        epoch: Names this outbox, 16 hex digits; another one after it went back in time.
        progress: How far the meters' profiles were read.
        backlog_batches: Unreceipted batches.
        backlog_octets: Their octets.
        released_count: Batches that were receipted since this process began.
        rejected_batches: Set aside by this process because the cloud refused them for good.
        appended: Called after each append; the uplink sets it.
        went_back: Called when a new epoch has begun; whoever holds invocation counters sets it.
    """

    def __init__(
        self,
        database: Database,
        signer: Signer,
        quota_octets: int = DEFAULT_QUOTA_OCTETS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._signer = signer
        self._quota = quota_octets
        self._clock = clock
        self.progress = marks.Progress(database)
        self.rejected_batches = 0
        self.released_count = 0
        self.appended: Callable[[], None] = _nobody
        self.went_back: Callable[[], None] = _nobody
        self.epoch = database.submit(batches.epoch).result()
        self.backlog_batches, self.backlog_octets = database.read(batches.backlog)
        self._last_sequence, self._stored_octets = database.read(batches.stored)
        self._results_due, self._events_due = database.read(batches.pending_others)
        self._floor = 0
        self._has_begun_anew = False

    @property
    def percent(self) -> int:
        """How much of the quota the backlog takes."""
        return 100 * self.backlog_octets // self._quota

    @property
    def alarming(self) -> bool:
        """Whether the backlog has reached the alarm mark."""
        return self.percent >= ALARM_PERCENT

    async def require_room(self) -> None:
        """Pass while there is room for the readings of another visit.

        Raises:
            OutboxFull: a visit would be in vain; receipts, or a disk with room again, end that.
        """
        await self._require_room(min(LARGEST_BODY, self._quota // RESERVE_PART))

    async def append_readings(
        self, sections: Sequence[readings.Section], progress: marks.Marks | None = None
    ) -> int:
        """Stores readings, and how far they reach, in one transaction; durable on return.

        Returns:
            The sequence of the batch.

        Raises:
            OutboxFull: nothing was stored; the quota or the disk is used up.
        """
        encoding, body = readings.encode(sections)
        if len(body) > LARGEST_BODY:
            raise ValueError(f"{len(body)} octets of readings in one batch, at most {LARGEST_BODY}")
        await self._require_room(len(body))

        def seal(epoch: str, sequence: int) -> bytes:
            return batch.seal(Kind.READINGS, encoding, epoch, sequence, body)

        def also(connection: sqlite3.Connection) -> None:
            marks.store(connection, progress or {})

        try:
            sequence = await self._append(self._new(Kind.READINGS, seal), also)
        except StorageFull as full:
            raise OutboxFull(f"nothing can be stored: {full}") from full
        self.progress.moved(progress or {})
        return sequence

    async def append_events(
        self, new: Sequence[events.Event], progress: marks.Marks | None = None
    ) -> int:
        """Stores events, and with the last one how far the meter's log was read; then durable.

        Taken beyond the quota, too. Without any event only the marks are stored.

        Returns:
            The sequence of the last batch; 0 when there was none.

        Raises:
            StorageFull: not even the ballast made room.
        """
        *full, last = [
            new[at : at + EVENTS_PER_BATCH] for at in range(0, len(new) or 1, EVENTS_PER_BATCH)
        ]
        for part in full:  # the whole log of a meter may be more than one batch holds
            await self._append(self._events(part))

        def also(connection: sqlite3.Connection) -> None:
            marks.store(connection, progress or {})

        sequence = 0
        if last:
            sequence = await self._append(self._events(last), also)
        else:
            await self._database.write(also)
        self.progress.moved(progress or {})
        return sequence

    def _events(self, new: Sequence[events.Event]) -> NewBatch:
        told = events.EventList(tuple(new))

        def seal(epoch: str, sequence: int) -> bytes:
            return events.to_payload(told, epoch, sequence)

        return self._new(Kind.EVENTS, seal)

    async def append_result(
        self, result: results.CommandResult, also: Job[None] | None = None
    ) -> int:
        """Signs and stores a command's result; durable on return. Taken beyond the quota, too.

        Args:
            result: What to tell.
            also: What must become durable in the same transaction: the journal's entry. When it
                refuses, neither is stored.

        Raises:
            StorageFull: not even the ballast made room.
            JobRefused: what ``also`` raised.
        """

        def seal(epoch: str, sequence: int) -> bytes:
            return results.to_payload(result, self._signer, epoch, sequence)

        return await self._append(self._new(Kind.RESULTS, seal), also)

    def _new(self, kind: Kind, seal: batches.SealBatch) -> NewBatch:
        return NewBatch(kind, int(self._clock().timestamp()), seal)

    async def _require_room(self, octets: int) -> None:
        """Refuses what the quota or the disk does not take, after making what room it can."""
        if self.backlog_octets + octets > self._quota:
            raise OutboxFull(f"the backlog takes {self.percent} % of the outbox quota")
        try:
            await self._database.require_writes()
        except StorageFull as full:
            raise OutboxFull(str(full)) from full
        if self._database.ballast.restore():
            return
        if self._database.read(batches.free_octets) < BALLAST_OCTETS:
            try:
                freed = await self._database.write(lambda c: batches.evict(c, BALLAST_OCTETS))
            except StorageFull:
                freed = 0
            self._stored_octets -= freed
            if freed < BALLAST_OCTETS:
                raise OutboxFull("the disk is full and the outbox holds nothing it may delete")

    async def _append(self, new: NewBatch, also: Job[None] | None = None) -> int:
        """Stores one batch; counted even when the caller is cancelled before the commit."""
        excess = self._stored_octets - self._quota

        def job(connection: sqlite3.Connection) -> _Appended:
            if also:
                also(connection)
            evicted = batches.evict(connection, excess) if excess > 0 else 0
            return (*batches.insert(connection, new, self.epoch), evicted)

        appending = asyncio.wrap_future(self._database.submit(job))
        appending.add_done_callback(lambda done: self._count(new.kind, done))
        sequence, _, _ = await asyncio.shield(appending)
        return sequence

    def _count(self, kind: Kind, done: "asyncio.Future[_Appended]") -> None:
        if not done.cancelled() and done.exception() is None:
            self._add(kind, done.result())

    def _add(self, kind: Kind, appended: _Appended) -> None:
        sequence, octets, evicted = appended
        self.backlog_batches += 1
        self.backlog_octets += octets
        self._stored_octets += octets - evicted
        self._last_sequence = max(self._last_sequence, sequence)
        if kind is not Kind.READINGS:
            due = self._results_due if kind is Kind.RESULTS else self._events_due
            due[sequence] = None  # sequences only grow, so it stays in order
        self.appended()

    def urgent(self) -> Iterator[int]:
        """Yields the sequences that must not wait behind readings: results, then events.

        Whoever needs the first few only asks for them: a gateway may have a year of events.
        """
        return chain(self._results_due, self._events_due)

    def readings_after(self, sequence: int, limit: int) -> list[int]:
        """Returns the next unreceipted batches of readings above a sequence, oldest first.

        The lowest one found is remembered, so that released batches below it are not searched
        again.
        """
        start = max(sequence, self._floor - 1)
        settled = self._last_sequence
        found = self._database.read(lambda c: batches.pending_readings(c, start, limit))
        if start < self._floor:
            self._floor = found[0] if found else max(self._floor, settled)
        return found

    def load(self, sequence: int) -> Batch | None:
        """Returns a stored batch with its octets; None when it is gone."""
        found = self._database.read(lambda c: batches.load(c, sequence))
        if found is None:
            return None
        payload = epochs.under(self.epoch, found.kind, found.payload, self._signer)
        return Batch(sequence, found.kind, payload)

    def oldest_unreceipted_at(self) -> datetime | None:
        """Returns when the oldest batch of the backlog was stored (gateway clock, UTC)."""
        first = (islice(each, 1) for each in (self._results_due, self._events_due))
        oldest = [*self.readings_after(-1, 1), *chain.from_iterable(first)]
        if not oldest:
            return None
        appended_at = self._database.read(lambda c: batches.appended_at(c, min(oldest)))
        return None if appended_at is None else datetime.fromtimestamp(appended_at, UTC)

    async def release(self, receipts: ReceiptList) -> list[int]:
        """Releases the batches whose digests the receipts repeat. Idempotent.

        A batch whose identity the cloud has given to other octets stays in the backlog, under a
        new `epoch`, if this process has not begun one yet.

        Args:
            receipts: Receipts whose signature was verified. Another epoch's release nothing.

        Returns:
            The sequences that left the backlog now.
        """
        if receipts.epoch != self.epoch:
            log.warning("receipts for outbox epoch %s, not %s: ignored", receipts.epoch, self.epoch)
            return []
        begin_at = None if self._has_begun_anew else self._clock()

        def settle(connection: sqlite3.Connection) -> tuple[list[int | None], Anew | None]:
            settled = epochs.settle(connection, receipts, self._signer, begin_at)
            if settled[1] is not None:
                journal.lose(connection)
                counters.skip_used(connection)
            return settled

        outcomes, anew = await self._database.write(settle)
        released = self._count_released(receipts, outcomes)
        if anew is not None:
            self._begin_anew(anew)
        return released

    def _begin_anew(self, anew: Anew) -> None:
        log.warning("the outbox went back in time: epoch %s, not %s", anew.epoch, self.epoch)
        self.epoch, self._has_begun_anew = anew.epoch, True
        self.backlog_batches += anew.batches
        self.backlog_octets += anew.octets
        self._floor = 0
        self._results_due, self._events_due = self._database.read(batches.pending_others)
        self._add(Kind.EVENTS, (*anew.told, 0))
        self.went_back()

    def _count_released(self, receipts: ReceiptList, outcomes: Sequence[int | None]) -> list[int]:
        released = []
        for receipt, octets in zip(receipts.receipts, outcomes, strict=True):
            if octets is not None:
                self.backlog_batches -= 1
                self.backlog_octets -= octets
                self._results_due.pop(receipt.sequence, None)
                self._events_due.pop(receipt.sequence, None)
                released.append(receipt.sequence)
                self.released_count += 1
                if receipt.verdict == "rejected":
                    self.rejected_batches += 1
                    log.error("batch %d rejected: %s", receipt.sequence, receipt.reason)
        return released

    async def take_back(self, wish: SendAgain) -> int:
        """Puts receipted batches that are still held back into the backlog. Idempotent.

        Args:
            wish: Verified. Another epoch's takes nothing back.

        Returns:
            How many batches wait again.
        """
        if wish.epoch not in {None, self.epoch}:
            log.warning("asked for batches of outbox epoch %s, not %s", wish.epoch, self.epoch)
            return 0
        count, octets = await self._database.write(
            lambda connection: batches.take_back(connection, wish.from_sequence)
        )
        self.backlog_batches += count
        self.backlog_octets += octets
        self._results_due, self._events_due = self._database.read(batches.pending_others)
        self._floor = min(self._floor, wish.from_sequence)
        return count
