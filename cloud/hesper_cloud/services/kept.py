"""A figure that costs a scan of the store: computed seldom, shared by all who ask."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.stores.port import StoreError, StoreUnavailable

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class Kept(Generic[T]):
    """A value that is computed again when it has become old; a store that is away, too, waits.

    It is kept for some seconds, and so many times as long as computing it took.
    """

    compute: Callable[[], T]
    keep_s: float
    times: int = 0
    monotonic: Callable[[], float] = time.monotonic
    value: T | None = None
    _failure: str = ""
    _old_at: float = field(default=float("-inf"))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _renewal: "asyncio.Future[None] | None" = None

    async def get(self) -> T:
        """Returns the value.

        Raises:
            StoreUnavailable: the store was away when it was asked last.
        """
        async with self._lock:
            if self._is_old():
                begun = self.monotonic()
                try:
                    self.value, self._failure = await asyncio.to_thread(self.compute), ""
                except StoreUnavailable as error:
                    self._failure = str(error)
                now = self.monotonic()
                self._old_at = now + max(self.keep_s, self.times * (now - begun))
            if self._failure or self.value is None:
                raise StoreUnavailable(self._failure)
            return self.value

    def renew(self) -> None:
        """Has it computed, if it has become old, while nobody waits."""
        if self._is_old() and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.ensure_future(self._renewed())

    async def _renewed(self) -> None:
        try:
            await self.get()
        except (SQLAlchemyError, StoreError) as error:
            _log.warning("a figure of the overview is missing: %s", error)

    def _is_old(self) -> bool:
        return self.monotonic() > self._old_at
