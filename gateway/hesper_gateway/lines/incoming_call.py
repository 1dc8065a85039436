"""One connection on which a meter has called, from its first octet to its last.

Until the meter is known, whoever asks it reads the connection; from then on its listener does, all
the time, and whoever has the turn is given what arrives in it.
"""

import asyncio
import contextlib
from collections import deque

from hesper_dlms.wrapper import HEADER_OCTETS

from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import StreamChannel
from hesper_gateway.lines.whole_frames import WholeFrames

_SILENCE_S = 3600.0
_HELD_MAX = 256


class IncomingCall:
    """One connection of a meter: read by its listener, used by whoever has the turn."""

    def __init__(self, channel: StreamChannel, frames: WholeFrames) -> None:
        self.channel = channel
        self.in_use = False
        self._frames = frames
        self._held: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._ended: LineDown | None = None
        self._is_pumped = False

    @property
    def closed(self) -> bool:
        """Whether the call is over."""
        return self._ended is not None or self.channel.closed

    def listener_reads(self) -> None:
        """Say that from now on `pump` alone reads the connection."""
        self._is_pumped = True

    def begin_use(self) -> None:
        """Forget what the meter said before: it answers nothing that was asked."""
        self.in_use = True
        self._held.clear()

    def end(self, why: LineDown) -> None:
        """Say that nothing more will come."""
        self._ended = why
        self._arrived.set()

    async def first_apdu(self, ask_after_s: float) -> bytes | None:
        """Return the first APDU, without its header; None when the caller waits to be asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ask_after_s):
                while not self._held:
                    await self._take_some(ask_after_s)
        return self._held.popleft()[HEADER_OCTETS:] if self._held else None

    async def pump(self, idle_s: float) -> None:
        """Read for ever; raises LineDown when the call is over or nothing came for too long."""
        while True:
            if not await self._take_some(idle_s or _SILENCE_S) and idle_s:
                raise LineDown(f"nothing came for {idle_s:g} s")
            if len(self._held) > _HELD_MAX:
                raise LineDown("the meter sends more than it was asked for")

    async def read(self, timeout_s: float) -> bytes:
        """Return what arrived, or nothing after that time; LineDown when the call is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self._held and self._ended is None:
                    await self._more(timeout_s)
        if self._held:
            return self._held.popleft()
        if self._ended is not None:
            raise LineDown(str(self._ended))
        return b""

    async def write(self, octets: bytes, timeout_s: float) -> None:
        """Send everything within the time; LineDown otherwise."""
        await self.channel.write(octets, timeout_s)

    async def release(self, broken: bool) -> None:
        """End the call; a `DialIn` keeps those of known meters."""
        await self.channel.release(broken)

    async def _more(self, timeout_s: float) -> None:
        if not self._is_pumped:
            await self._take_some(timeout_s)
            return
        self._arrived.clear()
        await self._arrived.wait()

    async def _take_some(self, timeout_s: float) -> bool:
        octets = await self.channel.read(timeout_s)
        frames = self._frames.receive(octets)
        if self.in_use or not self._is_pumped:  # else nobody has asked for them
            self._held.extend(frames)
            self._arrived.set()
        return bool(octets)
