"""Lines that only listen: a serial, TCP or UDP port on which meters talk unasked."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

from hesper_dlms.errors import DecodeError
from hesper_dlms.wrapper import datagrams, unwrap

from hesper_gateway.config import PushSerialLine, PushTcpLine, PushUdpLine
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import StreamChannel
from hesper_gateway.lines.serial_port import SerialPort, open_port
from hesper_gateway.lines.serving import served

log = logging.getLogger(__name__)

SILENCE_S = 3600.0
REOPEN_S = 0.5
REOPEN_MAX_S = 30.0
WRAPPER_VERSION = b"\x00\x01"
DATAGRAMS_MAX = 1024
"""Wait to be taken in; further ones are lost, as on the way here."""
TOO_FAST = "datagrams came faster than they could be taken in"
CUT_SHORT = "a datagram was cut short"

Sink = Callable[[bytes], Awaitable[None]]
"""Takes the octets of one stream in order, at its end none; a slow sink slows its line down."""
Lose = Callable[[str], None]
"""Told the reason for each thing that was said and did not come to a sink; returns at once."""


class Ear(Protocol):
    """A line that only listens."""

    async def run(self, new_sink: Callable[[], Sink], lose: Lose) -> None:
        """Listen until cancelled; every stream of octets gets a sink of its own."""


class SerialEar:
    """Listens on a serial port and opens it again whenever it goes away."""

    def __init__(self, line: PushSerialLine) -> None:
        self._line = line
        self._down = False

    async def run(self, new_sink: Callable[[], Sink], lose: Lose) -> None:
        """Listen until cancelled; one log line when the port goes, one when it is back."""
        del lose  # what a serial line loses shows in its stream
        pause_s = REOPEN_S
        while True:
            try:
                port = await open_port(self._line.path, self._line.baudrate, self._line.framing)
                self._up()
                pause_s = REOPEN_S
                await self._listen(port, new_sink())
            except LineDown as error:
                self._gone(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, REOPEN_MAX_S)

    async def _listen(self, port: SerialPort, sink: Sink) -> None:
        try:
            while True:
                octets = await port.read(SILENCE_S)
                if octets:
                    await sink(octets)
        except LineDown:
            await sink(b"")
            raise
        finally:
            port.close()

    def _up(self) -> None:
        if self._down:
            log.info("line %s: back", self._line.name)
        self._down = False

    def _gone(self, error: LineDown) -> None:
        if not self._down:
            log.warning("line %s: down: %s", self._line.name, error)
        self._down = True


class TcpEar:
    """Listens on a TCP port; every connection is a stream of its own."""

    def __init__(self, line: PushTcpLine) -> None:
        self._line = line
        self._channels: set[StreamChannel] = set()
        self.port = line.port
        self.listening = asyncio.Event()

    async def run(self, new_sink: Callable[[], Sink], lose: Lose) -> None:
        """Listen until cancelled.

        Raises:
            LineDown: the port cannot be listened on.
        """

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            channel = StreamChannel(reader, writer)
            if len(self._channels) < self._line.connections_max:
                await self._listen(channel, new_sink)
            else:
                lose(f"a connection came beside {len(self._channels)} others")
                await channel.release(broken=True)

        try:
            async with served(self._line, answer) as self.port:
                self.listening.set()
                await asyncio.get_running_loop().create_future()
        finally:
            for channel in tuple(self._channels):
                await channel.release(broken=True)

    async def _listen(self, channel: StreamChannel, new_sink: Callable[[], Sink]) -> None:
        self._channels.add(channel)
        try:
            await self._hear(channel, new_sink())
        finally:
            self._channels.discard(channel)
            await channel.release(broken=False)

    async def _hear(self, channel: StreamChannel, sink: Sink) -> None:
        try:
            while octets := await channel.read(SILENCE_S):
                await sink(octets)
        except LineDown as error:
            log.debug("line %s: %s", self._line.name, error)
        await sink(b"")


class UdpEar:
    """Listens on a UDP port; each sender's datagrams are a stream of their own."""

    def __init__(self, line: PushUdpLine) -> None:
        self._line = line
        self._sinks: OrderedDict[object, Sink] = OrderedDict()
        self.port = line.port
        self.listening = asyncio.Event()

    async def run(self, new_sink: Callable[[], Sink], lose: Lose) -> None:
        """Listen until cancelled.

        Raises:
            LineDown: the port cannot be listened on.
        """
        line, loop = self._line, asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[object, bytes]] = asyncio.Queue(DATAGRAMS_MAX)

        def take(sender: object, datagram: bytes) -> None:
            if arrived.full():
                lose(TOO_FAST)
            elif _is_cut_short(datagram):
                lose(CUT_SHORT)
            else:
                arrived.put_nowait((sender, datagram))

        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(take), local_addr=(line.host, line.port)
            )
        except OSError as error:
            raise LineDown(f"line {line.name}: cannot listen: {error.strerror}") from error
        self.port = transport.get_extra_info("sockname")[1]
        self.listening.set()
        try:
            while True:
                sender, datagram = await arrived.get()
                await self._sink_of(sender, new_sink)(datagram)
        finally:
            transport.close()

    def _sink_of(self, sender: object, new_sink: Callable[[], Sink]) -> Sink:
        """Return the sender's sink; who was silent longest is forgotten for a new one."""
        sink = self._sinks.pop(sender, None) or new_sink()
        self._sinks[sender] = sink
        if len(self._sinks) > self._line.senders_max:
            self._sinks.popitem(last=False)
        return sink


def _is_cut_short(datagram: bytes) -> bool:
    """Whether wrapped APDUs in a datagram lack their end, for which the stream would wait."""
    if not datagram.startswith(WRAPPER_VERSION):
        return False
    try:
        return sum(len(unwrap(each).to_octets()) for each in datagrams(datagram)) != len(datagram)
    except DecodeError:
        return True


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[object, bytes], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._take(addr, data)
