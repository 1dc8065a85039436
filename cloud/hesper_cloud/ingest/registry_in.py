"""One pattern for events and results: batches whose rows live in the registry database.

All batches of a group share one transaction; each is decoded, looked up among the stored ids, and
written with its id. What cannot be decoded is a dead letter and rejected; a known sequence with
another digest is a dead letter and an alarm, and rejected, too.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from hesper_contracts.batch import BatchId, digest, open_
from hesper_contracts.frame import Refused
from hesper_contracts.receipts import Verdict, contradiction
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import writing
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.message import Message, Settled, batch_id
from hesper_cloud.ingest.persist import until_stored
from hesper_cloud.ingest.readings_in import Alarms
from hesper_cloud.ingest.seen import remember, stored_digests

T = TypeVar("T")


class Rows(Protocol[T]):
    """What differs between kinds: how a body is decoded and what rows it makes."""

    def decode(self, message: Message) -> T:
        """Takes a payload apart; raises Refused."""
        ...

    def insert(self, session: Session, message: Message, decoded: T, stored_at: datetime) -> None:
        """Adds the rows to the transaction."""
        ...


class RegistryIn(Generic[T]):
    """Takes groups of messages of one kind; `bells` are rung after each commit."""

    def __init__(
        self,
        engine: Engine,
        rows: Rows[T],
        dead_letters: DeadLetters,
        alarms: Alarms,
        stop: threading.Event,
    ) -> None:
        self._engine = engine
        self._rows = rows
        self._dead_letters = dead_letters
        self._alarms = alarms
        self._stop = stop
        self.bells: list[Callable[[], None]] = []

    def store(self, messages: Sequence[Message]) -> list[Settled]:
        """Stores a group durably and returns what receipts to give."""
        settled: list[Settled] = []
        ready: list[tuple[Message, BatchId, T]] = []
        for message in messages:
            try:
                batch = self._identity(message)
            except Refused as error:
                self._dead_letters.add(message.topic, message.payload, str(error))
                continue
            try:
                ready.append((message, batch, self._rows.decode(message)))
            except Refused as error:
                self._dead_letters.add(message.topic, message.payload, str(error))
                settled.append(_settled(message, batch, str(error)[:200]))
        if ready:
            settled += until_stored(lambda: self._commit(ready), self._stop)
            for ring in self.bells:
                ring()
        return settled

    def _identity(self, message: Message) -> BatchId:
        sealed = open_(message.payload)
        return batch_id(message.gateway, sealed.epoch, sealed.sequence)

    def _commit(self, ready: Sequence[tuple[Message, BatchId, T]]) -> list[Settled]:
        settled, contradictions = [], []
        stored_at = datetime.now(UTC)
        with writing(self._engine) as session:
            known = stored_digests(session, [batch for _, batch, _ in ready])
            for message, batch, decoded in ready:
                found = digest(message.payload)
                if batch not in known:
                    self._rows.insert(session, message, decoded, stored_at)
                    remember(session, batch, found, stored_at)
                    known[batch] = found
                if known[batch] == found:
                    settled.append(_settled(message, batch, ""))
                else:
                    contradictions.append((message, batch))
        for message, batch in contradictions:
            reason = contradiction(batch)
            self._dead_letters.add(message.topic, message.payload, reason)
            self._alarms.digest_mismatch(batch)
            settled.append(_settled(message, batch, reason))
        return settled


def _settled(message: Message, batch: BatchId, reason: str) -> Settled:
    verdict: Verdict = "rejected" if reason else "stored"
    return Settled(batch, digest(message.payload), verdict, reason, message.arrived)
