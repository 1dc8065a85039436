"""Readings batches: decode, recognise, validate, store, and say what became of each.

Per group of messages:

1. What cannot be decoded is a dead letter, receipted as rejected if it names its batch.
2. A batch that is stored already, with the same digest, gets its receipt again and nothing else.
   With another digest it is a dead letter and an alarm, and is answered as rejected: so it does not
   fill its gateway's window for ever, but is set aside there, and can be replayed here.
   So is one with which its sender brings too many layouts (`layouts`).
3. The rest is validated and written in one transaction with its batch ids; single rows that cannot
   be stored are dead letters (`set_aside`), also of captures that the store names and refuses. If
   it refuses the group as such, batches are written one by one, and only the offending one is
   rejected. What a gateway says of another one's meters is kept apart (`owners`), and nobody hears
   of it. Of meters for which it has no room (`names`) nothing is stored: the batch is a dead
   letter, too, to be tried again once there is room.
4. Witnesses (the latest values, by which the next group is validated) see at once what was
   committed, and only that; judges (rules) and followers do when the aftermath is told.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Refused
from hesper_contracts.receipts import contradiction

from hesper_cloud import metrics
from hesper_cloud.ingest.aftermath import Aftermath, Commit, Committed
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode import Decoded, blocks_with_messages, decode, rejected
from hesper_cloud.ingest.joining import Joined, joined
from hesper_cloud.ingest.layouts import Layouts
from hesper_cloud.ingest.message import Message, Settled
from hesper_cloud.ingest.names import TooManyNames
from hesper_cloud.ingest.owners import Owners
from hesper_cloud.ingest.persist import until_stored
from hesper_cloud.ingest.set_aside import (
    OUT_OF_TIME,
    Aside,
    in_time,
    set_refused_aside,
    without_refused_captures,
    without_rows_out_of_time,
)
from hesper_cloud.ingest.stages import stage
from hesper_cloud.ingest.validate import judged
from hesper_cloud.latest import LatestValues
from hesper_cloud.stores.apart import split, without_meters
from hesper_cloud.stores.port import (
    Block,
    CommittedRows,
    Group,
    ReadingStore,
    StoreRefused,
    Written,
)

log = logging.getLogger(__name__)


class Alarms(Protocol):
    """Where a batch that contradicts itself is reported."""

    def digest_mismatch(self, batch: BatchId) -> None:
        """Raises an alarm: a known sequence came with another digest."""
        ...


class ReadingsIn:
    """Takes groups of readings messages."""

    def __init__(
        self,
        store: ReadingStore,
        latest: LatestValues,
        dead_letters: DeadLetters,
        alarms: Alarms,
        owners: Owners,
        stop: threading.Event,
    ) -> None:
        """Prepares; `judges` are told of a group's joined blocks, `followers` of every batch's.

        A joined block is of several gateways, so judges hear of none. `witnesses` hear of joined
        blocks at once, whatever happens afterwards; they do not fail, and take no time. `writing`
        is called when it is the store's turn, `meanwhile` again and again while the store is away.
        """
        self._store = store
        self._latest = latest
        self._dead_letters = dead_letters
        self._aside = Aside(dead_letters, stop)
        self._alarms = alarms
        self._owners = owners
        self._layouts = Layouts()
        self._stop = stop
        self.witnesses: list[Committed] = []
        self.judges: list[Committed] = []
        self.followers: list[Committed] = []
        self.stored_readings = 0
        self.writing: Callable[[], None] = lambda: None
        self.meanwhile: Callable[[], None] = lambda: None

    def store(
        self, messages: Sequence[Message], attempts: Sequence[Decoded | Refused]
    ) -> tuple[list[Settled], Aftermath]:
        """Stores a group durably; returns what receipts to give, and what to tell afterwards.

        `attempts` is what `decode_all` made of the messages.
        """
        settled: list[Settled] = []
        decoded = []
        for message, found in zip(messages, attempts, strict=True):
            if isinstance(found, Refused):
                self._reject(message, str(found), settled)
            else:
                decoded.append(found)
        with stage("recognise"):
            fresh = self._admitted(self._unknown(decoded, settled), settled)
        aftermath = Aftermath(self.judges, self.followers)
        if fresh:
            self._write(fresh, settled, aftermath)
        return settled, aftermath

    def store_rows(self, decoded: Decoded) -> None:
        """Stores one message by itself and tells of it.

        Raises:
            StoreRefused: the store can never hold it.
            TooManyNames: there is no room for some of its meters; the others are stored.
            Refused: neither can it any of its rows.
        """
        if not any(in_time(block).any() for block in decoded.blocks):
            raise Refused(OUT_OF_TIME)
        aftermath = Aftermath(self.judges, self.followers)
        try:
            self._write_together([decoded], [], aftermath)
        except TooManyNames as refusal:
            within = _within(decoded, refusal.of[decoded.message.gateway])
            if _has_rows(within):
                self._write_together([within], [], aftermath)
                aftermath.tell()
            raise
        aftermath.tell()

    def _reject(self, message: Message, reason: str, settled: list[Settled]) -> None:
        self._dead_letters.add(message.topic, message.payload, reason)
        settled += rejected(message, reason)

    def _unknown(self, decoded: Sequence[Decoded], settled: list[Settled]) -> list[Decoded]:
        """Returns what is not stored yet, each batch once; settles or sets aside the rest."""
        ids = list({each.batch for each in decoded if each.batch is not None})
        known = (
            until_stored(lambda: self._store.known(ids), self._stop, self.meanwhile) if ids else {}
        )
        fresh: list[Decoded] = []
        in_group: dict[BatchId, str] = {}
        for each in decoded:
            if each.batch is None:
                fresh.append(each)
            elif each.batch in known:
                self._again(each, known[each.batch], settled)
            elif each.batch in in_group:
                self._twice(each, in_group[each.batch], settled)
            else:
                in_group[each.batch] = each.digest
                fresh.append(each)
        return fresh

    def _twice(self, each: Decoded, first_digest: str, settled: list[Settled]) -> None:
        """Settles a batch that came twice in a group; the first is not stored yet."""
        if each.digest != first_digest:
            self._again(each, first_digest, settled)

    def _admitted(self, fresh: Sequence[Decoded], settled: list[Settled]) -> list[Decoded]:
        """Returns batches in layouts that their senders may bring; sets the others aside."""
        admitted = []
        for each in fresh:
            try:
                self._layouts.admit(each.message.gateway, each.all_blocks)
            except Refused as error:
                self._reject(each.message, str(error), settled)
            else:
                admitted.append(each)
        return admitted

    def _again(self, each: Decoded, stored_digest: str, settled: list[Settled]) -> None:
        batch = each.batch
        if batch is None:
            return
        if each.digest == stored_digest:
            settled.append(Settled(batch, each.digest, "stored", "", each.message.arrived))
            return
        reason = contradiction(batch)
        self._reject(each.message, reason, settled)
        self._alarms.digest_mismatch(batch)

    def _write(
        self, fresh: Sequence[Decoded], settled: list[Settled], aftermath: Aftermath
    ) -> None:
        try:
            self._write_together(fresh, settled, aftermath)
        except TooManyNames as error:
            self._write_within(fresh, error, settled, aftermath)
        except StoreRefused as error:
            if error.captures:
                self._write_without(fresh, error, settled, aftermath)
                return
            if len(fresh) == 1:
                self._reject(fresh[0].message, f"the store refuses it: {error}", settled)
                return
            for each in fresh:
                self._write([each], settled, aftermath)

    def _write_within(
        self,
        fresh: Sequence[Decoded],
        refusal: TooManyNames,
        settled: list[Settled],
        aftermath: Aftermath,
    ) -> None:
        """Writes batches without the meters for which there is no room; those are dead letters.

        Where nothing is left of a batch its sender hears that, and keeps it, too.
        """
        rest = []
        for each in fresh:
            beyond = refusal.of.get(each.message.gateway, frozenset())
            if beyond.isdisjoint(meter for block in each.all_blocks for meter in block.meters):
                rest.append(each)
                continue
            whole = each if each.shared is None else decode(each.message)
            within = _within(whole, beyond)
            if not _has_rows(within):
                self._reject(each.message, str(refusal), settled)
                continue
            if within.blocks != whole.blocks:
                self._aside.keep(each.message.topic, each.message.payload, str(refusal))
            rest.append(within)
        if rest:
            self._write(rest, settled, aftermath)

    def _write_without(
        self,
        fresh: Sequence[Decoded],
        refusal: StoreRefused,
        settled: list[Settled],
        aftermath: Aftermath,
    ) -> None:
        """Writes batches without the captures that the store refuses, which are set aside."""
        rest = []
        for each in fresh:
            alone = each if each.shared is None else decode(each.message)
            blocks = (
                without_refused_captures(block, each.message, refusal, self._aside)
                for block in alone.blocks
            )
            rest.append(alone._replace(blocks=tuple(blocks)))
        self._write(rest, settled, aftermath)

    def _write_together(
        self, fresh: Sequence[Decoded], settled: list[Settled], aftermath: Aftermath
    ) -> None:
        now_ms = time.time_ns() // 1_000_000
        with stage("validate"):
            for decoded in fresh:
                set_refused_aside(decoded.refused, decoded.message, self._aside)
            came = blocks_with_messages(fresh)
            blocks, apart = self._prepared(came)
            gateways = [message.gateway for message, _ in came]
            together = [self._judged(each, blocks, now_ms // 1000) for each in joined(blocks)]
        batches = {each.batch: each.digest for each in fresh if each.batch is not None}
        group = Group(batches, [*blocks, *apart], now_ms)
        self.writing()
        with stage("store"):
            written = until_stored(lambda: self._store.write(group), self._stop, self.meanwhile)
        settled += [
            Settled(each.batch, each.digest, "stored", "", each.message.arrived)
            for each in fresh
            if each.batch is not None
        ]
        self._count(written)
        with stage("latest values"):
            rows = self._witnessed(together, group, written)
        aftermath.add(Commit(gateways, group, written, rows))

    def _witnessed(
        self, together: Sequence[Joined], group: Group, written: Written
    ) -> list[CommittedRows]:
        """Tells witnesses; returns the joined blocks, each with the latest values before."""
        found = []
        for each in together:
            new, before = each.together(written.accepted), self._latest.previous(each.block)
            rows = CommittedRows("", each.block, new, group.stored_at, before)
            for witness in self.witnesses:
                witness.rows_committed(rows)
            found.append(rows)
        return found

    def _prepared(self, came: Sequence[tuple[Message, Block]]) -> tuple[list[Block], list[Block]]:
        """Returns a block of each one's own rows, and those that are kept apart."""
        own = [without_rows_out_of_time(block, message, self._aside) for message, block in came]
        senders = [message.gateway for message, _ in came]
        pairs = list(zip(senders, own, strict=True))
        apart = []
        found = until_stored(lambda: self._owners.flags(pairs), self._stop)
        for place, foreign in enumerate(found):
            if foreign is not None:
                own[place], kept = split(own[place], foreign, senders[place])
                apart.append(kept)
        return own, apart

    def _judged(self, whole: Joined, blocks: list[Block], now: int) -> Joined:
        """Judges a joined block, and hands its verdict on to the blocks it was made of."""
        found = replace(whole, block=judged(whole.block, self._latest, now))
        for place, quality in found.pieces(found.block.quality):
            blocks[place] = replace(blocks[place], quality=quality)
        return found

    def _count(self, written: Written) -> None:
        self.stored_readings += written.new
        metrics.READINGS.labels("new").inc(written.new)
        metrics.READINGS.labels("duplicate").inc(written.duplicate)
        metrics.READINGS.labels("conflicting").inc(written.conflicting)
        metrics.GROUP_READINGS.observe(written.new + written.duplicate + written.conflicting)


def _within(whole: Decoded, beyond: frozenset[str]) -> Decoded:
    """Returns a message without the meters for which there is no room."""
    return whole._replace(blocks=tuple(without_meters(block, beyond) for block in whole.blocks))


def _has_rows(decoded: Decoded) -> bool:
    return any(block.row_count for block in decoded.blocks)
