"""Reading a range in turns of a few chunks, each stored before the next turn begins.

Every turn is an association of its own and waits for the line beside the scheduled visits, so that
neither they nor commands wait for a long range. What was stored before a failure stays.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from hesper_gateway.database import StorageFull
from hesper_gateway.errands.findings import Tally
from hesper_gateway.errors import CommandExpired, MeterDistrusted, MeterFailed
from hesper_gateway.outbox import OutboxFull
from hesper_gateway.sessions import MeterSession, Permit
from hesper_gateway.sessions.reading import Range

CHUNKS_PER_TURN = 2


class Piece(Protocol):
    """Part of a range."""

    @property
    def mark(self) -> int | None:
        """How far the range is read with it; None where more of the same time follows."""

    @property
    def captured_at(self) -> list[int]:
        """When what is in it was captured, epoch s."""


P = TypeVar("P", bound=Piece)


@dataclass(frozen=True, slots=True)
class Gleaning(Generic[P]):
    """One range of one meter.

    Attributes:
        session: The meter's.
        chunks: Opens an association and yields what a range holds, oldest first.
        store: Makes pieces durable; may be called with none.
        tally: Counts what is durable.
    """

    session: MeterSession
    chunks: Callable[[Range], AsyncGenerator[P, None]]
    store: Callable[[list[P]], Awaitable[None]]
    tally: Tally

    async def run(self, wanted: Range, permit: Permit) -> str:
        """Read it all; return what stopped it, or nothing.

        Raises:
            CommandExpired: by ``permit``, before anything was stored.
        """
        left: Range | None = wanted
        try:
            while left is not None:
                permit()
                left = await self._turn(left)
        except CommandExpired as late:
            if not self.tally.count:
                raise
            return str(late)
        except (MeterFailed, OutboxFull, StorageFull) as error:
            return str(error)
        return ""

    async def _turn(self, left: Range) -> Range | None:
        haul: list[P] = []
        try:
            return await self.session.line.submit(lambda: self._take(left, haul))
        finally:
            await self.store(haul)
            for piece in haul:
                self.tally.add(piece.captured_at)

    async def _take(self, left: Range, haul: list[P]) -> Range | None:
        """Read some chunks into ``haul``; return what is left of the range."""
        async with aclosing(self.chunks(left)) as chunks:
            async for chunk in chunks:
                haul.append(chunk)
                if chunk.mark is not None and self._enough(len(haul)):
                    if chunk.mark < left.since:  # asked again, it would send the same for ever
                        raise MeterDistrusted("the meter sends rows from before the range")
                    return left.after(chunk.mark)
        return None

    def _enough(self, chunk_count: int) -> bool:
        return chunk_count >= CHUNKS_PER_TURN or self.session.line.command_waiting
