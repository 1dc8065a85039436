"""Batches that come over HTTP: onto the same queue as those of the broker, with an answer.

A sender at the door gets what a gateway gets as a receipt, and at the same moment: after the
durable commit. It is known by its account (`http-<account>`), which stands in the place of the
gateway: so its batches have identities of their own, and readings of meters that belong to a
gateway are kept apart, and raise the same alert, as if another gateway had sent them. A batch that
names no identity has one made of its digest, so that a repeat is recognised all the same.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from hesper_contracts import batch
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Kind
from hesper_contracts.topics import Topics

from hesper_cloud import metrics
from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Delivery, Message, Settled

NOBODYS = Delivery(-1, 0, 0)  # no connection has this number, so nothing is acknowledged to it
SENDER = "http-"
MOST_WAITING = 64
MOST_OF_ONE = 8
MOST_OCTETS = 32 * 1024 * 1024


class Door:
    """Takes batches in from any thread; ingest's writer tells what became of them."""

    def __init__(
        self,
        messages: Inbox,
        topics: Topics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._messages = messages
        self._topics = topics
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], list[Future[Settled]]] = {}
        self._octets: dict[tuple[str, str], int] = {}

    def hand_in(self, account: str, payload: bytes) -> "Future[Settled] | None":
        """Puts a batch on ingest's queue; the future tells what became of it.

        Returns None where too many wait, in all or of this account.

        Raises:
            Refused: the account's name cannot stand in the place of a gateway's.
        """
        sender = SENDER + account
        topic = self._topics.up(sender, Kind.READINGS)
        digest = batch.digest(payload)
        named = BatchId(sender, digest[:16], int(digest[16:31], 16))
        answer: Future[Settled] = Future()
        key = (sender, digest)
        with self._lock:
            if not self._has_room(sender, len(payload)):
                return None
            self._waiting.setdefault(key, []).append(answer)
            self._octets[key] = len(payload)
        answer.add_done_callback(lambda done: self._forget(key, done))
        metrics.MESSAGES.labels(Kind.READINGS).inc()
        arrived, now = time.monotonic(), self._clock()
        self._messages.put(
            Message(topic, sender, Kind.READINGS, payload, NOBODYS, arrived, now, named)
        )
        return answer

    def _has_room(self, sender: str, octets: int) -> bool:
        own = sum(len(waiting) for (who, _), waiting in self._waiting.items() if who == sender)
        everybody = sum(map(len, self._waiting.values()))
        much = bool(self._octets) and sum(self._octets.values()) + octets > MOST_OCTETS
        return own < MOST_OF_ONE and everybody < MOST_WAITING and not much

    def told(self, settled: Iterable[Settled]) -> list[Settled]:
        """Tells those who wait; returns what is for gateways."""
        if not self._waiting:
            return list(settled)
        others = []
        for each in settled:
            key = (each.batch.gateway, each.digest)
            with self._lock:
                waiting = self._waiting.pop(key, None)
                self._octets.pop(key, None)
            if waiting is None:
                others.append(each)
            for answer in waiting or ():
                if answer.set_running_or_notify_cancel():
                    answer.set_result(each)
        return others

    def _forget(self, key: tuple[str, str], answer: "Future[Settled]") -> None:
        """Makes room again where somebody went before the batch was settled."""
        if not answer.cancelled():
            return
        with self._lock:
            waiting = self._waiting.get(key, [])
            if answer in waiting:
                waiting.remove(answer)
            if not waiting:
                self._waiting.pop(key, None)
                self._octets.pop(key, None)
