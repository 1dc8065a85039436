"""Cellular meters call us: one listener, one connection for each meter.

A meter that was woken, or that simply came online, opens a TCP connection and first sends a plain
data-notification in the wrapper whose body is structure { octet-string system_title, octet-string
logical_device_name }. It is recognised by that system title, never by its IP address, and then
waits for our requests on the same connection. The claim is no proof: only the association that
follows authenticates the meter, and the logical device name is read again before any write.

The newest call of a meter replaces the one before, because a meter that calls again has lost its
old connection even if we have not noticed. Strangers are hung up on, and counted.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import DataNotification
from hesper_dlms.errors import DlmsError
from hesper_dlms.wrapper import WrapperReader

from hesper_gateway.config import DialInLine, MeterConfig
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.channel import StreamChannel

log = logging.getLogger(__name__)

IDENTIFY_S = 10.0
_ANNOUNCEMENT_OCTETS = 1024


@dataclass(frozen=True, slots=True)
class Announcement:
    """Who a calling meter says it is."""

    system_title: bytes
    logical_device_name: bytes


def read_announcement(octets: bytes) -> Announcement:
    """Return what an APDU announces.

    Raises:
        DlmsError: it does not parse.
        LineDown: it parses but is no announcement.
    """
    notification = apdu.parse(octets)
    if not isinstance(notification, DataNotification):
        raise LineDown("the caller's first message is no data-notification")
    items = axdr.decode(notification.body).as_items()
    if len(items) != 2:
        raise LineDown("the caller's first message names no system title")
    return Announcement(items[0].as_octets(), items[1].as_octets())


class DialIn:
    """The listener of a dial-in line, shared by the meters that call on it.

    Args:
        line: Where to listen.
        meters: Who may call; each has a system title.
    """

    def __init__(self, line: DialInLine, meters: Iterable[MeterConfig]) -> None:
        self._line = line
        self._known = {meter.system_title: meter.id for meter in meters}
        self._calls: dict[str, StreamChannel] = {}
        self._connections = 0
        self._expected: dict[str, asyncio.Event] = {}
        self.port = line.port
        self.listening = asyncio.Event()
        self.strangers_count = 0
        self.on_call: Callable[[str], None] = _nobody_waits
        """Told the meter's id when it has called."""

    async def run(self) -> None:
        """Listen until cancelled.

        Raises:
            LineDown: the port cannot be listened on.
        """
        try:
            server = await asyncio.start_server(self._answer, self._line.host, self._line.port)
        except OSError as error:
            raise LineDown(f"line {self._line.name}: cannot listen: {error.strerror}") from error
        self.port = server.sockets[0].getsockname()[1]
        self.listening.set()
        try:
            async with server:
                await server.serve_forever()
        finally:
            await self.aclose()

    async def open(self, meter: MeterConfig, timeout_s: float) -> "_Call":
        """Return the connection on which the meter has called, or calls within the time.

        Raises:
            LineDown: it does not call.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    channel = self._calls.get(meter.id)
                    if channel is not None and not channel.closed:
                        return _Call(self, meter.id, channel)
                    await self._expect(meter.id)
        except TimeoutError as error:
            raise LineDown(f"{meter.id} does not call") from error

    def called(self, meter_id: str) -> bool:
        """Whether the meter is on the line now."""
        channel = self._calls.get(meter_id)
        return channel is not None and not channel.closed

    async def hang_up(self, meter_id: str, channel: StreamChannel) -> None:
        """End one call; a newer call of the same meter stays."""
        if self._calls.get(meter_id) is channel:
            del self._calls[meter_id]
        await channel.release(broken=True)

    async def aclose(self) -> None:
        """Hang up on everyone."""
        while self._calls:
            _, channel = self._calls.popitem()
            await channel.release(broken=True)

    async def _expect(self, meter_id: str) -> None:
        """Wait for the next call of a meter."""
        called = self._expected.setdefault(meter_id, asyncio.Event())
        called.clear()
        await called.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = StreamChannel(reader, writer)
        if len(self._calls) + self._connections >= self._line.connections_max:
            await channel.release(broken=True)
            return
        self._connections += 1
        try:
            meter_id = await self._identify(channel)
        except (LineDown, DlmsError) as error:
            self.strangers_count += 1
            log.debug("line %s: caller refused: %s", self._line.name, error)
            await channel.release(broken=True)
            return
        finally:
            self._connections -= 1
        before = self._calls.get(meter_id)
        self._calls[meter_id] = channel
        if before is not None:
            await before.release(broken=True)
        if meter_id in self._expected:
            self._expected[meter_id].set()
        self.on_call(meter_id)

    async def _identify(self, channel: StreamChannel) -> str:
        frames = WrapperReader()
        octet_count = 0
        try:
            async with asyncio.timeout(IDENTIFY_S):
                while octet_count < _ANNOUNCEMENT_OCTETS:
                    octets = await channel.read(IDENTIFY_S)
                    octet_count += len(octets)
                    for frame in frames.receive(octets):
                        return self._meter_of(read_announcement(frame.apdu))
        except TimeoutError as error:
            raise LineDown("the caller does not say who it is") from error
        raise LineDown("the caller's first message is too long")

    def _meter_of(self, announcement: Announcement) -> str:
        meter_id = self._known.get(announcement.system_title.hex())
        if meter_id is None:
            raise LineDown(f"no meter here has system title {announcement.system_title.hex()}")
        return meter_id


class _Call:
    """One meter's connection in the hands of whoever has the turn."""

    def __init__(self, dial_in: DialIn, meter_id: str, channel: StreamChannel) -> None:
        self._dial_in = dial_in
        self._meter_id = meter_id
        self._channel = channel
        self.read = channel.read
        self.write = channel.write

    async def release(self, broken: bool) -> None:
        """Keep the call for the next turn; hang up when broken, and the meter calls again."""
        if broken:
            await self._dial_in.hang_up(self._meter_id, self._channel)


def _nobody_waits(meter_id: str) -> None:
    """Nobody wants to know of calls yet."""
