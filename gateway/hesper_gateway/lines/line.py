"""One physical channel, one queue, one meter at a time.

A line is a turnstile: whoever wants to work on it waits for a turn, commands before everything
else, and first come first served within a priority. The work runs in the task that asked for it,
so a cancelled caller leaves the queue by itself and errors reach the one who can act on them.
Bulk reads keep their turns short (one chunk of a profile), which bounds how long a command waits.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import TypeVar

from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import Carrier

T = TypeVar("T")

WAITING_MAX = 1000


class Priority(IntEnum):
    """Who goes first; the smaller number does."""

    COMMAND = 0
    BULK = 10


class Line:
    """The queue before one physical channel.

    Args:
        name: As in gateway.toml; for a dial-in meter, the line's name and the meter's.
        carrier: Opens the channel for whoever has the turn.
        waiting_max: How many may wait; one more is turned away.
    """

    def __init__(self, name: str, carrier: Carrier, waiting_max: int = WAITING_MAX) -> None:
        self.name = name
        self.carrier = carrier
        self._waiting_max = waiting_max
        self._taken = False
        self._order = itertools.count()
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []

    @property
    def command_waiting(self) -> bool:
        """Whether bulk work should end its turn at the next good moment."""
        return any(
            priority is Priority.COMMAND and not turn.done() for priority, _, turn in self._waiting
        )

    async def submit(
        self, job: Callable[[], Awaitable[T]], priority: Priority = Priority.BULK
    ) -> T:
        """Wait for the turn, do the job, return its result; its errors come out unchanged.

        Raises:
            LineDown: too much is waiting already.
        """
        async with self._turn(priority):
            return await job()

    @asynccontextmanager
    async def _turn(self, priority: Priority) -> AsyncIterator[None]:
        await self._enter(priority)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, priority: Priority) -> None:
        if not self._taken:
            self._taken = True
            return
        if len(self._waiting) >= self._waiting_max:
            raise LineDown(f"line {self.name}: {self._waiting_max} jobs are waiting already")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had just been given to us
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
