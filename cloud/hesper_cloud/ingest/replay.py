"""Dead letters that somebody asked to try again, after the reason is mended.

What decodes now is stored as rows, without the batch's identity: rows that are there already are no
news, and other values of the same readings become revisions, so a replay can be repeated and never
hides anything. No receipt is given: the gateway had its answer. The letter stays, with the time of
its replay or with the new reason.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from hesper_contracts.batch import digest
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import Address, Topics
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import DeadLetter
from hesper_cloud.ingest.decode import decode
from hesper_cloud.ingest.events_in import EventRows
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.persist import Stopped
from hesper_cloud.ingest.readings_in import ReadingsIn
from hesper_cloud.stores.port import StoreRefused

log = logging.getLogger(__name__)

EVERY_S = 1.0
_AT_ONCE = 20
_NO_DELIVERY = Delivery(-1, 0, 0)


class Replays:
    """Tries letters again; belongs to the writer's thread."""

    def __init__(
        self,
        engine: Engine,
        topics: Topics,
        readings: ReadingsIn,
        events: EventRows,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._topics = topics
        self._readings = readings
        self._events = events
        self._monotonic = monotonic
        self._due_at = 0.0

    def asked_for(self) -> Sequence[DeadLetter]:
        """Returns some letters to try again; looks for them at most once a second."""
        if self._monotonic() < self._due_at:
            return ()
        self._due_at = self._monotonic() + EVERY_S
        query = select(DeadLetter).where(DeadLetter.replay_asked_at.is_not(None)).limit(_AT_ONCE)
        with reading(self._engine) as session:
            return session.scalars(query).all()

    def try_again(self, letters: Sequence[DeadLetter]) -> None:
        """Tries letters again, while nobody tells of a group."""
        for letter in letters:
            self._conclude(letter.id, self._refusal(letter))

    def _refusal(self, letter: DeadLetter) -> str:
        """Stores a letter; returns why it cannot be, or nothing."""
        try:
            self._store(self._message(letter))
        except (Refused, StoreRefused) as refusal:
            return str(refusal)
        except (Stopped, SQLAlchemyError):
            raise
        except Exception as error:  # what set the letter aside may be a fault of ours, not mended
            log.exception("dead letter %d could not be tried again", letter.id)
            return f"unforeseen {type(error).__name__}: {error}"
        return ""

    def _message(self, letter: DeadLetter) -> Message:
        address = self._topics.parse(letter.topic)
        if not isinstance(address, Address):
            raise Refused("on no topic of a gateway")
        if digest(letter.payload) != letter.digest:
            raise Refused("only its beginning was kept")
        received_at = letter.received_at.timestamp()
        return Message(
            letter.topic,
            address.gateway,
            address.kind,
            letter.payload,
            _NO_DELIVERY,
            self._monotonic(),
            received_at,
        )

    def _store(self, message: Message) -> None:
        if message.kind is Kind.READINGS:
            self._readings.store_rows(decode(message)._replace(batch=None))
        elif message.kind is Kind.EVENTS:
            decoded = self._events.decode(message)
            with writing(self._engine) as session:
                self._events.insert(session, message, decoded, datetime.now(UTC))
        else:
            raise Refused(f"{message.kind} are not tried again")

    def _conclude(self, letter: int, refusal: str) -> None:
        with writing(self._engine) as session:
            row = session.get(DeadLetter, letter)
            if row is None:
                return
            row.replay_asked_at = None
            if refusal:
                row.reason = f"again: {refusal}"[:500]
            else:
                row.replayed_at = datetime.now(UTC)
