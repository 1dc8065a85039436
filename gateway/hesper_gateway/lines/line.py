"""One physical channel, one queue, one meter at a time.

A line is a turnstile: whoever wants to work on it waits for a turn, commands before everything
else, and first come first served within a priority. The work runs in the task that asked for it,
so a cancelled caller leaves the queue by itself and errors reach the one who can act on them.
Bulk reads keep their turns short (one chunk of a profile), which bounds how long a command waits.

A turn may leave something open on the channel, an association that the next reading of the same
meter takes up. Whoever else opens the channel ends it first; `StayingOpen` ends what nobody takes
up in time.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import Protocol, TypeVar

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import Carrier, Channel

T = TypeVar("T")

WAITING_MAX = 1000


class Priority(IntEnum):
    """Who goes first; the smaller number does."""

    COMMAND = 0
    BULK = 10
    IMAGE = 20
    """Blocks of firmware: of many meters at once, and each turn is a long one."""


class Occupant(Protocol):
    """What a turn has left open on the channel."""

    async def leave(self) -> None:
        """End it in order and give the channel back; never fails for the meter's sake."""


class Line:
    """The queue before one physical channel.

    Args:
        name: As in gateway.toml; for a dial-in meter, the line's name and the meter's.
        carrier: Opens the channel for whoever has the turn.
        waiting_max: How many may wait; one more is turned away.
        may_stay_open: Whether a turn may leave something open; not where that costs by the minute.
    """

    def __init__(
        self,
        name: str,
        carrier: Carrier,
        waiting_max: int = WAITING_MAX,
        *,
        may_stay_open: bool = True,
    ) -> None:
        self.name = name
        self.carrier = carrier
        self.may_stay_open = may_stay_open
        self.on_left_open: Callable[[], None] = _nobody_waits
        """Told when the line is free and something on it has stayed open."""
        self._listener: Callable[[Channel], Channel] | None = None
        self._occupant: Occupant | None = None
        self._open_until = 0.0
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

    @property
    def open_until(self) -> float | None:
        """When what has stayed open on the free line is to end, by the loop's clock."""
        return None if self._taken or self._occupant is None else self._open_until

    async def open(self, meter: MeterConfig, timeout_s: float) -> Channel:
        """Return a channel to the meter, after what had stayed open has ended.

        Raises:
            LineDown: the channel cannot be opened.
        """
        await self.vacate()
        channel = await self.carrier.open(meter, timeout_s)
        return channel if self._listener is None else self._listener(channel)

    @asynccontextmanager
    async def recorded(self, listener: Callable[[Channel], Channel]) -> AsyncIterator[None]:
        """Put what the listener returns in the place of every channel that this turn opens.

        Nothing stays open before it or after it, so that a conversation is heard whole.
        """
        await self.vacate()
        self._listener = listener
        try:
            yield
        finally:
            try:
                await self.vacate()
            finally:
                self._listener = None

    def leave_open(self, occupant: Occupant, longest_s: float) -> None:
        """Let something stay open after this turn, for so long at most."""
        self._occupant = occupant
        self._open_until = asyncio.get_running_loop().time() + longest_s
        if not self._taken:
            self.on_left_open()

    def take_up(self, wanted: Callable[[Occupant], bool]) -> Occupant | None:
        """Return what has stayed open if it is what is wanted; the caller has to end it."""
        occupant = self._occupant
        if occupant is None or not wanted(occupant):
            return None
        self._occupant = None
        return occupant

    async def vacate(self) -> None:
        """End what has stayed open."""
        occupant, self._occupant = self._occupant, None
        if occupant is not None:
            await occupant.leave()

    async def vacate_in_time(self) -> None:
        """End what has stayed open too long; a line that is in use sees to that itself."""
        until = self.open_until
        if until is not None and until <= asyncio.get_running_loop().time():
            await self.submit(self.vacate)

    async def aclose(self) -> None:
        """End what has stayed open and close the channel."""
        await self.vacate()
        await self.carrier.aclose()

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
        if self._occupant is not None:
            self.on_left_open()


def _nobody_waits() -> None:
    """Nobody ends what stays open."""
