"""A data call that a modem has made: a channel to one meter."""

import asyncio
from collections.abc import Awaitable, Callable

from hesper_gateway.errors import LineDown
from hesper_gateway.lines.serial_port import SerialPort

_CARRIER_LOST = b"\r\nNO CARRIER\r\n"
_SETTLE_S = 0.05
"""For what a kept call still had under way when it was given back."""

GiveBack = Callable[["Call", bool], Awaitable[None]]
"""Takes the call back; True when it is broken."""


class Call:
    """A data call in the hands of whoever has the modem.

    The modem says NO CARRIER in the midst of the data when the call is over; a meter has no reason
    to send just that line.
    """

    def __init__(
        self, give_back: GiveBack, port: SerialPort, meter_id: str, linger_s: float, early: bytes
    ) -> None:
        self.meter_id = meter_id
        self.linger_s = linger_s
        self.begun_at = asyncio.get_running_loop().time()
        self.idle_since: float | None = None
        self.carrier_lost = False
        self._give_back = give_back
        self._port = port
        self._early = early
        self._tail = b""

    @property
    def lost(self) -> bool:
        """Whether the call is over, as far as we have heard."""
        return self.carrier_lost or self._port.lost

    async def read(self, timeout_s: float) -> bytes:
        """Return what arrived, or nothing after that time; LineDown when the call is over."""
        if self.carrier_lost:
            raise LineDown("the call is over")
        octets, self._early = self._early, b""
        octets = octets or await self._port.read(timeout_s)
        heard = self._tail + octets
        if _CARRIER_LOST in heard:
            self.carrier_lost = True
            raise LineDown("the call is over: NO CARRIER")
        self._tail = heard[1 - len(_CARRIER_LOST) :]
        return octets

    async def still_stands(self) -> bool:
        """Return whether a call that was kept still stands; what came meanwhile is dropped."""
        try:
            while await self.read(_SETTLE_S):
                pass
        except LineDown:
            return False
        return True

    async def write(self, octets: bytes, timeout_s: float) -> None:
        """Send everything within the time; LineDown otherwise."""
        if self.carrier_lost:
            raise LineDown("the call is over")
        await self._port.write(octets, timeout_s)

    async def release(self, broken: bool) -> None:
        """Give the call back."""
        await self._give_back(self, broken)
