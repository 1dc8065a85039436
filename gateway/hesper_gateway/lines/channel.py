"""One open way to a meter, and how an exchange runs over it.

A channel moves octets and knows nothing of DLMS. A carrier opens channels: it dials a TCP
address, lends out the one serial port of a bus, or hands over the connection on which a cellular
meter called. `drive` is the thin shell between a sans-IO exchange and a channel.
"""

import asyncio
import contextlib
from collections.abc import Generator
from typing import Protocol, TypeVar

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import LineDown, MeterSilent

T = TypeVar("T")

READ_OCTETS = 65536


class Channel(Protocol):
    """Octets to and from whatever answers on a line."""

    async def read(self, timeout_s: float) -> bytes:
        """Return what arrived, or nothing when the line stayed silent for that long.

        Raises:
            LineDown: the other side closed, or the port is gone.
        """

    async def write(self, octets: bytes, timeout_s: float) -> None:
        """Send everything; raises LineDown when that is not possible in time."""

    async def release(self, broken: bool) -> None:
        """Give the channel back; ``broken`` when what may still arrive on it is not to be used."""


class Carrier(Protocol):
    """Opens channels to the meters of one line."""

    async def open(self, meter: MeterConfig, timeout_s: float) -> Channel:
        """Return a channel to the meter, free of earlier octets; raises LineDown."""

    async def aclose(self) -> None:
        """Close whatever is still open."""


class StreamChannel:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def closed(self) -> bool:
        """Whether either side has closed."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def read(self, timeout_s: float) -> bytes:
        """Return what arrived, or nothing after that time; LineDown at the end of the stream."""
        try:
            async with asyncio.timeout(timeout_s):
                octets = await self._reader.read(READ_OCTETS)
        except TimeoutError:
            return b""
        except OSError as error:
            raise LineDown(f"connection lost: {error}") from error
        if not octets:
            raise LineDown("the other side closed the connection")
        return octets

    async def write(self, octets: bytes, timeout_s: float) -> None:
        """Send everything within the time; LineDown otherwise."""
        try:
            async with asyncio.timeout(timeout_s):
                self._writer.write(octets)
                await self._writer.drain()
        except OSError as error:  # TimeoutError is one
            raise LineDown(f"cannot send: {error or 'the other side takes nothing'}") from error

    async def release(self, broken: bool) -> None:
        """Close the connection at once when broken, else let it end in order."""
        if broken:
            self._writer.transport.abort()
        self._writer.close()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()


async def drive(
    channel: Channel, exchange: Generator[bytes, bytes, T], *, answer_s: float, exchange_s: float
) -> T:
    """Run one exchange over a channel and return its result.

    Args:
        channel: Where the meter answers.
        exchange: Yields octets to write and is sent the octets that arrived; nothing arrived for
            ``answer_s`` is told to it as empty octets, so that a link may repeat itself.
        answer_s: Longest silence before the exchange is told of it.
        exchange_s: Longest time for all of it; a peer that chatters for ever ends here.

    Raises:
        MeterSilent: the exchange did not end in time.
        LineDown: the channel broke.
        DlmsError: what the exchange itself raises.
    """
    try:
        async with asyncio.timeout(exchange_s):
            try:
                octets = next(exchange)
                while True:
                    if octets:
                        await channel.write(octets, answer_s)
                    octets = exchange.send(await channel.read(answer_s))
            except StopIteration as end:
                result: T = end.value
                return result
    except TimeoutError as error:
        raise MeterSilent(f"no end of the exchange within {exchange_s:g} s") from error
    finally:
        exchange.close()
