"""A consumer tells in the registry how it is, every few seconds.

It may be a process of its own, on another machine, whose log nobody reads. The rules of the head
end judge what it tells, and that it tells (`hesper_cloud.rules.own_links`). One that ends in order
takes its row along.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine, delete
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import metrics
from hesper_cloud.db.consumers import ConsumerTold
from hesper_cloud.db.engines import writing
from hesper_cloud.db.upserts import upsert
from hesper_cloud.putting_off import PuttingOff

log = logging.getLogger(__name__)

EVERY_S = 5.0
_WHAT = "telling the registry how this consumer is"


class Heartbeat:
    """Tells how one consumer is; called from one thread.

    The store is away while groups of readings are tried again and again, or one is that waits for
    an answer until its time is over; a store that nobody writes to is not missed.
    """

    def __init__(
        self,
        engine: Engine,
        instance: str,
        hears: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._instance = instance
        self._hears = hears
        self._monotonic = monotonic
        self._clock = clock
        self._due_at = monotonic()
        self._retries = metrics.value(metrics.RETRIES)
        self._putting_off = PuttingOff()

    def flush(self) -> None:
        """Tells it if it is time."""
        if self._monotonic() < self._due_at:
            return
        self._due_at = self._monotonic() + EVERY_S
        retries = metrics.value(metrics.RETRIES)
        stores = retries == self._retries and not metrics.value(metrics.STORE_WAITS)
        self._retries = retries
        metrics.STORE_ANSWERS.set(stores)
        self._write(stores=stores)

    def _write(self, *, stores: bool) -> None:
        told = {"told_at": self._clock(), "hears": self._hears(), "stores": stores}
        try:
            with writing(self._engine) as session:
                upsert(session, ConsumerTold, [{"instance": self._instance, **told}], list(told))
        except SQLAlchemyError as error:
            self._putting_off.because(_WHAT, error)
        else:
            self._putting_off.over(_WHAT)

    def end(self) -> None:
        """Takes the row away: this consumer is missed by nobody."""
        own = delete(ConsumerTold).where(ConsumerTold.instance == self._instance)
        try:
            with writing(self._engine) as session:
                session.execute(own)
        except SQLAlchemyError as error:
            log.warning("the registry does not hear that this consumer ends: %s", error)
