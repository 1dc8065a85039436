"""Cellular meters call us: one listener, one connection for each meter.

Theory of operation
-------------------
::

    accepted ──says who it is, or is asked──→ waiting ⇄ in use ──broken, idle, gone──→ hung up
       └── says nothing known in time ──→ hung up, counted

A meter that was woken, or that simply came online, opens a TCP connection; `recognition` says how
it is known. Each connection is read all the time, so that heartbeats are swallowed, an idle or
half-open one is noticed (TCP keep-alive probes, and `idle_s` where the meter sends heartbeats), and
what the meter says between our turns is not taken for an answer.

The newest call of a meter replaces the one before, because a meter that calls again has lost its
old connection even if we have not noticed. As the claim of a caller is no proof, it does not cut
short what is under way on the old one: the newer waits until that has ended, or failed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from hesper_dlms.errors import DlmsError

from hesper_gateway.config import DialInLine, MeterConfig
from hesper_gateway.errors import LineDown, MeterFailed
from hesper_gateway.lines.channel import StreamChannel, drive
from hesper_gateway.lines.incoming_call import IncomingCall
from hesper_gateway.lines.recognition import KnownMeters, asked_name, names_in
from hesper_gateway.lines.serving import served
from hesper_gateway.lines.whole_frames import WholeFrames

log = logging.getLogger(__name__)

IDENTIFY_S = 20.0
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 20, "TCP_KEEPCNT": 3}


class WakeUp(Protocol):
    """Makes a meter call."""

    async def wake(self, meter: MeterConfig) -> float:
        """Ask the meter to call, unless it was asked just now; return how long it may take.

        Raises:
            LineDown: that is not possible now.
        """


class DialIn:
    """The listener of a dial-in line, shared by the meters that call on it.

    Args:
        line: Where to listen.
        meters: Who may call.
        wake_up: Makes those call that have a phone; None waits until they do.
    """

    def __init__(
        self, line: DialInLine, meters: Iterable[MeterConfig], wake_up: WakeUp | None = None
    ) -> None:
        self._line = line
        self._known = KnownMeters(meters)
        self._heartbeats = [bytes.fromhex(each) for each in line.heartbeats]
        self._wake_up = wake_up
        self._calls: dict[str, IncomingCall] = {}
        self._newer: dict[str, IncomingCall] = {}
        self._strangers: set[StreamChannel] = set()
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
            async with served(self._line, self._answer) as self.port:
                self.listening.set()
                await asyncio.get_running_loop().create_future()
        finally:
            await self.aclose()

    async def open(self, meter: MeterConfig, timeout_s: float) -> "_Lease":
        """Return the connection on which the meter has called, or calls within the time.

        Raises:
            LineDown: it does not call, or cannot be woken.
        """
        if not self.called(meter.id) and self._wake_up is not None and meter.phone is not None:
            timeout_s = max(timeout_s, await self._wake_up.wake(meter))
        try:
            async with asyncio.timeout(timeout_s):
                while not self.called(meter.id):
                    await self._expect(meter.id)
        except TimeoutError as error:
            raise LineDown(f"{meter.id} does not call") from error
        call = self._calls[meter.id]
        call.begin_use()
        return _Lease(self, meter.id, call)

    def called(self, meter_id: str) -> bool:
        """Whether the meter is on the line now."""
        call = self._calls.get(meter_id)
        return call is not None and not call.closed

    async def give_back(self, meter_id: str, call: IncomingCall, broken: bool) -> None:
        """Keep a call for the next turn, or end it: when broken, or when a newer one waits."""
        call.in_use = False
        newer = self._newer.pop(meter_id, None)
        if newer is not None:
            self._calls[meter_id] = newer
        elif broken and self._calls.get(meter_id) is call:
            del self._calls[meter_id]
        if newer is not None or broken:
            await call.channel.release(broken=True)
        if newer is not None:
            self._tell(meter_id)

    async def aclose(self) -> None:
        """Hang up on everyone."""
        channels = [call.channel for call in (*self._calls.values(), *self._newer.values())]
        self._calls.clear()
        self._newer.clear()
        for channel in (*channels, *self._strangers):
            await channel.release(broken=True)

    async def _expect(self, meter_id: str) -> None:
        """Wait for the next call of a meter."""
        called = self._expected.setdefault(meter_id, asyncio.Event())
        called.clear()
        await called.wait()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channel = StreamChannel(reader, writer)
        connections = len(self._calls) + len(self._newer) + len(self._strangers)
        if (
            connections >= self._line.connections_max
            or len(self._strangers) >= self._line.strangers_max
        ):
            self.strangers_count += 1
            await channel.release(broken=True)
            return
        _probe_when_silent(writer)
        call = IncomingCall(channel, WholeFrames(self._heartbeats))
        self._strangers.add(channel)
        try:
            meter_id = await self._identify(call)
        except (MeterFailed, DlmsError) as error:
            self.strangers_count += 1
            log.debug("line %s: caller refused: %s", self._line.name, error)
            await channel.release(broken=True)
            return
        finally:
            self._strangers.discard(channel)
        call.listener_reads()
        await self._admit(meter_id, call)
        await self._listen(meter_id, call)

    async def _identify(self, call: IncomingCall) -> str:
        """Return the meter that calls; one that says nothing is asked."""
        try:
            async with asyncio.timeout(IDENTIFY_S):
                first = await call.first_apdu(self._line.ask_after_s)
                if first is not None:
                    return self._known.named(names_in(first))
                name = await drive(call, asked_name(), answer_s=IDENTIFY_S, exchange_s=IDENTIFY_S)
                return self._known.named([name])
        except TimeoutError as error:
            raise LineDown("the caller does not say who it is") from error

    async def _admit(self, meter_id: str, call: IncomingCall) -> None:
        """Let the newest call of a meter take the place of those before."""
        before, waiting = self._calls.get(meter_id), self._newer.pop(meter_id, None)
        replaced = [waiting]
        if before is not None and before.in_use and not before.closed:
            self._newer[meter_id] = call
        else:
            replaced.append(before)
            self._calls[meter_id] = call
            self._tell(meter_id)
        for each in replaced:
            if each is not None:
                await each.channel.release(broken=True)

    def _tell(self, meter_id: str) -> None:
        if meter_id in self._expected:
            self._expected[meter_id].set()
        self.on_call(meter_id)

    async def _listen(self, meter_id: str, call: IncomingCall) -> None:
        """Read a call until it ends; whoever uses it learns that it has ended."""
        try:
            await call.pump(self._line.idle_s)
        except LineDown as error:
            log.debug("line %s: %s: %s", self._line.name, meter_id, error)
            call.end(error)
        for calls in (self._calls, self._newer):
            if calls.get(meter_id) is call and not call.in_use:
                del calls[meter_id]
        await call.channel.release(broken=True)


class _Lease:
    """One meter's connection in the hands of whoever has the turn."""

    def __init__(self, dial_in: DialIn, meter_id: str, call: IncomingCall) -> None:
        self._dial_in = dial_in
        self._meter_id = meter_id
        self._call = call
        self.read = call.read
        self.write = call.write

    async def release(self, broken: bool) -> None:
        """Keep the call for the next turn; hang up when broken, and the meter calls again."""
        await self._dial_in.give_back(self._meter_id, self._call, broken)


def _probe_when_silent(writer: asyncio.StreamWriter) -> None:
    """Let the kernel find out about a connection whose other end is gone without a word."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _nobody_waits(meter_id: str) -> None:
    """Nobody wants to know of calls yet."""
