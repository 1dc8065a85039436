"""Messages that could not be understood: kept with the reason, counted, bounded.

The same octets sent again on the same topic are counted and kept once, and once more when they had
to give way to newer ones meanwhile. Only so many are kept, the newest, and of their payloads only
so many octets; each has the digest of the whole.
"""

import hashlib
import logging
import threading
from collections import OrderedDict
from datetime import UTC, datetime

from hesper_contracts.batch import MAX_PAYLOAD
from hesper_contracts.frame import Kind
from sqlalchemy import Engine, delete, func, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import DeadLetter
from hesper_cloud.pace import Pace

log = logging.getLogger(__name__)

KEPT_OCTETS = MAX_PAYLOAD
KEPT_LETTERS = 10_000
KEPT_IN_ALL = 256 * 1024 * 1024
_KINDS = frozenset(kind.value for kind in Kind)
_REMEMBERED = 10_000
_MAX_TEXT = 500
_PRUNE_EVERY = 500
_TOLD_PER_S, _TOLD_AT_ONCE = 1 / 6, 20  # on one topic, in the log; all are counted
_PRUNE_OCTETS = 16 * 1024 * 1024


class DeadLetters:
    """Keeps dead letters in the registry database; may be used from any thread."""

    def __init__(
        self, engine: Engine, kept: int = KEPT_LETTERS, kept_octets: int = KEPT_IN_ALL
    ) -> None:
        self._engine = engine
        self._kept = kept
        self._kept_octets = kept_octets
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._since_prune = 0
        self._octets_since_prune = 0
        self._told = Pace(_TOLD_PER_S, _TOLD_AT_ONCE)

    def add(self, topic: str, payload: bytes, reason: str) -> None:
        """Keeps one message that nothing else will be done with; its sender has it, too."""
        try:
            self.keep(topic, payload, reason)
        except SQLAlchemyError as error:
            _count(topic)
            log.error("dead letter not kept: %s: %s", reason[:_MAX_TEXT], error)  # noqa: TRY400 - a full disk is no bug to trace

    def keep(self, topic: str, payload: bytes, reason: str) -> None:
        """Keeps what nobody else will have any longer.

        Raises:
            SQLAlchemyError: it could not be kept.
        """
        digest = hashlib.sha256(payload).hexdigest()
        with self._lock:
            if not self._is_repeated((topic, digest)):
                try:
                    self._store(topic, payload, reason, digest)
                except SQLAlchemyError:
                    self._seen.pop((topic, digest), None)
                    raise
                if self._told.admits(topic):
                    log.warning("dead letter on %s: %s", topic[:_MAX_TEXT], reason[:_MAX_TEXT])
        _count(topic)

    def _is_repeated(self, letter: tuple[str, str]) -> bool:
        repeated = letter in self._seen
        self._seen[letter] = None
        self._seen.move_to_end(letter)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return repeated

    def _store(self, topic: str, payload: bytes, reason: str, digest: str) -> None:
        with writing(self._engine) as session:
            session.add(
                DeadLetter(
                    topic=topic[:_MAX_TEXT],
                    reason=reason.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_MAX_TEXT],
                    payload=payload[:KEPT_OCTETS],
                    received_at=datetime.now(UTC),
                    digest=digest,
                )
            )
            session.flush()
            self._since_prune += 1
            self._octets_since_prune += len(payload)
            many = self._since_prune >= min(_PRUNE_EVERY, self._kept)
            if many or self._octets_since_prune >= _PRUNE_OCTETS:
                self._since_prune = self._octets_since_prune = 0
                self._prune(session)

    def _prune(self, session: Session) -> None:
        newest = session.scalar(select(func.max(DeadLetter.id))) or 0
        too_many = DeadLetter.id <= newest - self._kept
        size = func.length(DeadLetter.payload)
        sums = select(
            DeadLetter.id, func.sum(size).over(order_by=DeadLetter.id.desc()).label("octets")
        ).subquery()
        beyond = select(sums.c.id).where(sums.c.octets > self._kept_octets)
        gone = delete(DeadLetter).where(or_(too_many, DeadLetter.id.in_(beyond)))
        for topic, digest in session.execute(gone.returning(DeadLetter.topic, DeadLetter.digest)):
            self._seen.pop((topic, digest), None)


def _count(topic: str) -> None:
    kind = topic.rsplit("/", 1)[-1] if "/up/" in topic else metrics.OTHER
    metrics.DEAD_LETTERS.labels(kind if kind in _KINDS else metrics.OTHER).inc()
