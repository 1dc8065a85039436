"""Meters that are read over UDP: each wrapped APDU in a datagram of its own (IEC 62056-47, 5).

A datagram that is not exactly one wrapped APDU is dropped here, so that the link above sees a
stream of whole APDUs. Nothing is sent again: a request that was carried out and whose answer was
lost would be carried out twice; the visit fails and is made again.
"""

import asyncio

from hesper_dlms.errors import DecodeError
from hesper_dlms.wrapper import datagrams, unwrap

from hesper_gateway.config import MeterConfig, UdpLine
from hesper_gateway.errors import LineDown

_HELD_MAX = 64


class _Arrivals(asyncio.DatagramProtocol):
    """What the event loop brings: whole APDUs, and that nobody listens there."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(_HELD_MAX)
        self.lost: Exception | None = None

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        try:
            unwrap(data)
        except DecodeError:
            return
        if not self.queue.full():  # too many are lost, as on the way here
            self.queue.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.lost = exc
        if not self.queue.full():
            self.queue.put_nowait(b"")


class UdpChannel:
    """A UDP socket connected to one meter: what others send does not arrive."""

    def __init__(self, transport: asyncio.DatagramTransport, arrivals: _Arrivals) -> None:
        self._transport = transport
        self._arrivals = arrivals

    async def read(self, timeout_s: float) -> bytes:
        """Return one datagram, or nothing after that time; LineDown when nobody listens."""
        self._check()
        try:
            async with asyncio.timeout(timeout_s):
                octets = await self._arrivals.queue.get()
        except TimeoutError:
            return b""
        if not octets:
            self._check()
        return octets

    async def write(self, octets: bytes, timeout_s: float) -> None:
        """Send each APDU by itself; it leaves at once or is lost."""
        del timeout_s
        self._check()
        for datagram in datagrams(octets):
            self._transport.sendto(datagram)

    async def release(self, broken: bool) -> None:
        """Close the socket, whatever is still on its way."""
        del broken
        self._transport.close()

    def _check(self) -> None:
        if self._arrivals.lost is not None:
            raise LineDown(f"the other side takes no datagrams: {self._arrivals.lost}")


class UdpCarrier:
    """Opens a socket for each association; meters are told apart by their server address."""

    def __init__(self, line: UdpLine) -> None:
        self._host = line.host
        self._port = line.port

    async def open(self, meter: MeterConfig, timeout_s: float) -> UdpChannel:
        """Return a fresh socket; raises LineDown when the host has no address."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                transport, arrivals = await loop.create_datagram_endpoint(
                    _Arrivals, remote_addr=(self._host, self._port)
                )
        except OSError as error:  # TimeoutError is one
            why = error.strerror or f"no address within {timeout_s:g} s"
            raise LineDown(f"{meter.id} at {self._host}:{self._port}: {why}") from error
        return UdpChannel(transport, arrivals)

    async def aclose(self) -> None:
        """Nothing outlives its association."""
