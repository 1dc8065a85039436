"""Readings that were kept apart count once their meter is commissioned behind who sent them.

They are stored once more, as their gateway's own: with their times of receipt, judged, and told to
everybody who follows what is stored, as readings that came late. What is stored already is no news,
so it may be done again, and is: another consumer may have looked up whose the meter is seconds
before it was commissioned, and keeps a few more readings apart. A minute later all are looked at
once more, and taken off the record then.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import Topics
from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.ingest import kept_apart
from hesper_cloud.ingest.decode import Decoded
from hesper_cloud.ingest.kept_apart import Kept
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.persist import Stopped, until_stored
from hesper_cloud.stores.apart import apart, believed
from hesper_cloud.stores.blocks import blocks_of
from hesper_cloud.stores.port import EARLIEST, LATEST, Reading, ReadingStore, StoreRefused

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 10.0
_AGAIN_AFTER_S = 60.0
_AT_ONCE = 20
_PAGE = 10_000
_NO_DELIVERY = Delivery(-1, 0, 0)


class StoresRows(Protocol):
    """Who stores rows by themselves."""

    def store_rows(self, decoded: Decoded) -> None:
        """Stores one message by itself and tells of it."""
        ...


class LooksUp(Protocol):
    """Who knows whose meters are whose."""

    def ask(self, meters: Iterable[str]) -> object:
        """Asks the registry anew."""
        ...


class Adoption:
    """Takes readings over; belongs to the writer's thread."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        topics: Topics,
        readings: StoresRows,
        owners: LooksUp,
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._store = store
        self._topics = topics
        self._readings = readings
        self._owners = owners
        self._stop = stop
        self._monotonic = monotonic
        self._due_at = 0.0
        self._waiting: deque[Kept] = deque()
        self._first_at: dict[Kept, float] = {}

    def due(self) -> list[Kept]:
        """Returns some of what is to be taken over; looks for it every ten seconds at most."""
        if not self._waiting and self._monotonic() >= self._due_at:
            self._due_at = self._monotonic() + _LOOK_EVERY_S
            self._look()
        return [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]

    def _look(self) -> None:
        with reading(self._engine) as session:
            noted = kept_apart.noted(session)
            behind: dict[str, str | None] = {}
            for some in batched(list({each.meter for each in noted})):
                query = select(Meter.id, Meter.gateway_id).where(Meter.id.in_(some))
                behind.update((meter, gateway) for meter, gateway in session.execute(query))
        own = sorted(each for each in noted if behind.get(each.meter) == each.gateway)
        known, now = self._first_at, self._monotonic()
        self._first_at = {each: known.get(each, now) for each in own}
        self._waiting.extend(each for each in own if each not in known or self._is_last(each))

    def _is_last(self, kept: Kept) -> bool:
        return self._monotonic() - self._first_at[kept] >= _AGAIN_AFTER_S

    def take_over(self, some: Sequence[Kept]) -> None:
        """Stores what was kept apart as what it is, while nobody tells of a group."""
        for kept in some:
            is_last = self._is_last(kept)
            try:
                count = self._adopted(kept)
            except (Refused, StoreRefused) as error:
                log.warning("readings of %s by %s are not taken over: %s", *kept[1::-1], error)
                continue
            except (Stopped, SQLAlchemyError):
                raise
            except Exception:  # nobody else's readings shall wait for these
                log.exception("readings of %s by %s could not be taken over", *kept[1::-1])
                continue
            if is_last:
                with writing(self._engine) as session:
                    kept_apart.forget(session, kept)
            else:
                log.info("%d readings of %s by %s count now", count, *kept[1::-1])

    def _adopted(self, kept: Kept) -> int:
        self._owners.ask([kept.meter])
        topic = self._topics.up(kept.gateway, Kind.READINGS)
        count = 0
        for end in self._ends(kept):
            rows = sorted(self._page(kept, end), key=lambda row: (row.captured_at, row.revision))
            blocks = tuple(block for block, _ in blocks_of(map(believed, rows)))
            now = self._monotonic(), time.time()
            message = Message(topic, kept.gateway, Kind.READINGS, b"", _NO_DELIVERY, *now)
            self._readings.store_rows(Decoded(message, None, "", blocks))
            count += len(rows)
        return count

    def _ends(self, kept: Kept) -> list[int]:
        """Returns before when each page ends; the oldest comes first, as it would have come."""
        ends, end = [], LATEST + 1
        while rows := self._page(kept, end):
            ends.append(end)
            end = rows[-1].captured_at
        return ends[::-1]

    def _page(self, kept: Kept, end: int) -> list[Reading]:
        """Returns the newest rows before an instant, of each capture all that fit.

        A capture of which a page holds a part comes with the next page; one that fills a page by
        itself has no more versions than that.
        """
        profile = apart(kept.profile, kept.gateway)
        rows = until_stored(
            lambda: self._store.readings(kept.meter, profile, EARLIEST, end, _PAGE), self._stop
        )
        whole = [row for row in rows if row.captured_at > rows[-1].captured_at]
        return whole if len(rows) == _PAGE and whole else rows
