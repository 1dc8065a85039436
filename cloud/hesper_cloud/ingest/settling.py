"""A group is settled by two threads: one makes it durable, the other tells of it.

Theory of operation. The writer's thread commits group after group, and feeds the latest values with
each, by which it validates the next. What follows a commit (receipts, acknowledgements, then rules
and contacts) the teller's thread does while the writer is about the next group: in the order of
commits, one group behind at most, because the writer waits for it. Rules compare with values that
the rows bring along, as they were before. An error that nobody foresaw, in storing or answering, is
the writer's to deal with while the teller rests: each message of the group is settled again by
itself (what is stored is recognised, and receipted again), and only one that cannot be stored is
set aside. Readings are stored last: what was told of none has not been stored.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from hesper_contracts import trace
from hesper_contracts.frame import Kind, Refused

from hesper_cloud import metrics
from hesper_cloud.ingest.aftermath import Aftermath
from hesper_cloud.ingest.answers import Answers
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode import Decoded, rejected
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import Intakes
from hesper_cloud.ingest.message import Message, Settled
from hesper_cloud.ingest.occupation import Occupation
from hesper_cloud.ingest.persist import Stopped, until_stored
from hesper_cloud.ingest.stages import Mark, recorded, stage
from hesper_cloud.ingest.traces import IngestTraces
from hesper_cloud.observing.context import within

log = logging.getLogger(__name__)

Attempts = list[Decoded | Refused]


class _Committed(NamedTuple):
    """A group that is durable, with what is still to be told; marks where it is traced."""

    group: Sequence[Message]
    settled: list[Settled]
    aftermath: Aftermath
    marks: list[Mark] | None


class Settling:
    """Settles groups; every method belongs to the writer's thread."""

    def __init__(
        self,
        intakes: Intakes,
        answers: Answers,
        dead_letters: DeadLetters,
        stop: threading.Event,
        traces: IngestTraces | None = None,
    ) -> None:
        self._intakes = intakes
        self._answers = answers
        self._dead_letters = dead_letters
        self._stop = stop
        self._traces = traces
        self._teller = ThreadPoolExecutor(1, "ingest tell")
        self._telling: tuple[Sequence[Message], Future[None]] | None = None
        self.occupation = Occupation()

    @contextlib.contextmanager
    def until_told(self) -> Iterator[None]:
        """At its end everything that was made durable is told of."""
        with self._teller:
            yield
            self.finish()

    def settle(self, group: Sequence[Message], attempts: Attempts | None = None) -> None:
        """Makes a group durable, and lets it be told of once the one before is.

        `attempts` is what `decode_all` made of its readings.

        Raises:
            Stopped: the process ends before the group is durable.
        """
        try:
            with self.occupation.working():
                committed = self._commit(group, attempts)
        except Stopped:
            raise
        except Exception as error:
            log.exception("%d messages could not be settled together", len(group))
            self.finish()
            if len(group) == 1:
                self._set_aside(group[0], error)
            else:
                self._one_by_one(group)
        else:
            self.finish()
            self._telling = group, self._teller.submit(self._tell, committed)

    def let_pass(self, messages: Sequence[Message]) -> None:
        """Settles messages that need no store of readings, while a group waits for it."""
        self.finish()
        self._one_by_one(messages)

    def finish(self) -> None:
        """Waits until everything that was made durable is told of."""
        if self._telling is None:
            return
        (group, told), self._telling = self._telling, None
        try:
            told.result()
        except Exception:
            log.exception("what is stored could not be answered; it is tried one by one")
            metrics.ERRORS.labels("ingest", "unforeseen").inc()
            self._one_by_one(group)

    def _one_by_one(self, group: Sequence[Message]) -> None:
        """Settles each message by itself: one that nobody foresaw must not hold up the others."""
        for message in group:
            with within(trace.of_batch(message.gateway, message.payload)):
                try:
                    committed = self._commit([message])
                except Stopped:
                    raise
                except Exception as error:
                    log.exception("message on %s could not be settled", message.topic)
                    self._set_aside(message, error)
                else:
                    self._tell_if_possible(committed)

    def _tell_if_possible(self, committed: _Committed) -> None:
        """Tells of what is stored, which is nothing to be set aside; its sender may ask again."""
        try:
            self._tell(committed)
        except Exception:
            log.exception("message on %s could not be answered", committed.group[0].topic)
            metrics.ERRORS.labels("ingest", "unforeseen").inc()

    def _set_aside(self, message: Message, error: Exception) -> None:
        metrics.ERRORS.labels("ingest", "unforeseen").inc()
        reason = f"unforeseen {type(error).__name__}: {error}"
        self._dead_letters.add(message.topic, message.payload, reason)
        self._answers.give([message], rejected(message, reason))

    def _commit(self, group: Sequence[Message], attempts: Attempts | None = None) -> _Committed:
        traced = self._traces is not None and any(message.trace for message in group)
        marks: list[Mark] | None = [] if traced else None
        with recorded(marks):
            settled, aftermath = self._take(group, attempts)
        return _Committed(group, settled, aftermath, marks)

    def _take(
        self, group: Sequence[Message], attempts: Attempts | None
    ) -> tuple[list[Settled], Aftermath]:
        by_kind: dict[Kind, list[Message]] = {}
        for message in group:
            by_kind.setdefault(message.kind, []).append(message)
        for message in by_kind.get(Kind.STATUS, ()):
            self._take_status(message)
        settled: list[Settled] = []
        if events := by_kind.get(Kind.EVENTS):
            with stage("store events"):
                settled += self._intakes.events.store(events)
        if results := by_kind.get(Kind.RESULTS):
            with stage("store results"):
                settled += self._intakes.results.store(results)
        readings = by_kind.get(Kind.READINGS)
        if not readings:
            return settled, Aftermath((), ())
        found = decode_all(readings) if attempts is None else attempts
        of_readings, aftermath = self._intakes.readings.store(readings, found)
        return settled + of_readings, aftermath

    def _take_status(self, message: Message) -> None:
        try:
            until_stored(lambda: self._intakes.status.take(message), self._stop)
        except Refused as error:
            self._dead_letters.add(message.topic, message.payload, str(error))

    def _tell(self, committed: _Committed) -> None:
        """Tells of a group that is durable; on the teller's thread, or while it rests."""
        with self.occupation.working(), recorded(committed.marks):
            self._answers.give(committed.group, committed.settled)
            with stage("rules"):
                committed.aftermath.tell()
        if self._traces is not None and committed.marks is not None:
            self._traces.tell(committed.group, committed.marks)
