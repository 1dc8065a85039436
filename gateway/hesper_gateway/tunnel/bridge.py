"""The tunnel itself: octets from line to mail and back until something ends it.

It ends by its time, by silence, by its octets, by the tool's word, by a message that was lost, by
the line, or with the broker; whatever comes first. Octets beyond the limit are not passed on.
"""

import asyncio
from typing import NamedTuple

from hesper_contracts.tunnel import OpenTunnel

from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import Channel
from hesper_gateway.tunnel.mail import Mail

LOOK_S = 0.25
"""How often time and broker are looked at."""
WRITE_S = 10.0


class Passage(NamedTuple):
    """What went through, octets, and why nothing goes any more."""

    octets_up: int
    octets_down: int
    ended_by: str


class _Ended(Exception):
    """Ends all that runs for a tunnel; the text is the reason."""


class Bridge:
    """One tunnel over one channel.

    Args:
        channel: The open line.
        mail: The tool's messages.
        limits: What the order allows.
        until: When its time is over, by the event loop's clock, s.
    """

    def __init__(self, channel: Channel, mail: Mail, limits: OpenTunnel, until: float) -> None:
        self._channel = channel
        self._mail = mail
        self._limits = limits
        self._until = until
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._up = self._down = 0

    async def run(self) -> Passage:
        """Pass octets until the end."""
        reason = ""
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (self._upwards, self._downwards, self._watch, self._heed):
                    tasks.create_task(part(), name=f"tunnel-{part.__name__.strip('_')}")
        except* (_Ended, LineDown) as ended:
            reason = str(ended.exceptions[0])
        return Passage(self._up, self._down, reason)

    async def _upwards(self) -> None:
        while True:
            octets = await self._channel.read(LOOK_S)
            if not octets:
                continue
            self._count(len(octets))
            self._up += len(octets)
            if not await self._mail.send(octets):
                raise _Ended("the broker was lost")

    async def _downwards(self) -> None:
        while True:
            octets = await self._mail.next()
            self._count(len(octets))
            self._down += len(octets)
            await self._channel.write(octets, WRITE_S)

    async def _watch(self) -> None:
        while True:
            now = self._clock()
            if now >= self._until:
                raise _Ended(f"its time of {self._limits.duration_s} s is over")
            if now - self._last >= self._limits.idle_s:
                raise _Ended(f"nothing went through for {self._limits.idle_s} s")
            if not self._mail.connected:
                raise _Ended("the broker was lost")
            await asyncio.sleep(min(LOOK_S, self._until - now))

    async def _heed(self) -> None:
        raise _Ended(await self._mail.over)

    def _count(self, more: int) -> None:
        self._last = self._clock()
        if self._up + self._down + more > self._limits.octets_max:
            raise _Ended(f"its {self._limits.octets_max} octets are used up")
