"""The tool's end of a transparent tunnel: a local TCP port for the vendor's program.

The gateway has the other end (see `hesper_contracts.tunnel` for what goes between). The port takes
one program at a time, which may come and go while the tunnel is open; octets that the meter sends
while nobody is there are dropped, as on a line without listener. With the tunnel ends the program's
connection: from Python 3.12 on a server that is closed waits for those it has. paho runs the
broker's socket on its own thread and hands every message to the event loop.
"""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from hesper_contracts import tunnel
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import Topics
from hesper_contracts.tunnel import CONTENT_MAX, Direction, Message, Type
from paho.mqtt import client as mqtt

from hesper_cloud import broker_client
from hesper_cloud.settings import BrokerSettings

log = logging.getLogger(__name__)

_HELLO_EVERY_S = 1.0
_KEEPALIVE_S = 15


class NoTunnel(Exception):
    """The tunnel did not come about, or a message of it was lost."""


class Wanted(NamedTuple):
    """Which tunnel, and where the vendor's program finds it."""

    gateway: str
    command_id: str
    host: str
    port: int
    wait_s: float


async def serve(broker: BrokerSettings, wanted: Wanted, tell: Callable[[str], None]) -> str:
    """Serve the port until the tunnel is closed; return why it was.

    Args:
        broker: Where the broker is; its account ``tunnel`` is used.
        wanted: Which tunnel.
        tell: Told where the port is, once the line is open.

    Raises:
        NoTunnel: the gateway does not answer, the broker is lost, or a message was.
        OSError: the port or the broker cannot be had.
    """
    end = ToolEnd(broker, wanted)
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, end.stop)
    async with end.connected():
        server = await asyncio.start_server(end.lead, wanted.host, wanted.port)
        async with server:
            await end.greet(wanted.wait_s)
            address = server.sockets[0].getsockname()
            tell(f"the tunnel is open at {address[0]}:{address[1]}")
            return await end.closed


class ToolEnd:
    """One tunnel as its tool sees it.

    Args:
        broker: Where the broker is; its account ``tunnel`` is used.
        wanted: Which tunnel.
    """

    def __init__(self, broker: BrokerSettings, wanted: Wanted) -> None:
        self._broker = broker
        self._session = tunnel.session_of(wanted.command_id)
        topics = Topics(broker.root)
        self._up = topics.up(wanted.gateway, Kind.TUNNEL)
        self._down = topics.down(wanted.gateway, Kind.TUNNEL)
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client()
        self._subscribed = asyncio.Event()
        self._greeted = asyncio.Event()
        self._sent = self._received = 0
        self._closed_there = False
        self._program: asyncio.StreamWriter | None = None
        self.closed: asyncio.Future[str] = self._loop.create_future()
        """Why it is over; NoTunnel when it did not end in order."""
        self.closed.add_done_callback(self._hang_up)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Be connected to the broker; at the end the gateway is told to close."""
        host, port = self._broker.host, self._broker.port
        await asyncio.to_thread(self._client.connect, host, port, _KEEPALIVE_S)
        self._client.loop_start()
        try:
            yield
        finally:
            if not self._closed_there:
                self._send(Type.CLOSE, content=b"the tool has ended")
            if self.closed.done():
                self.closed.exception()  # seen, even where nobody waits for it
            await asyncio.to_thread(broker_client.end, self._client)

    async def greet(self, wait_s: float) -> None:
        """Say hello until the gateway does, too.

        Raises:
            NoTunnel: it does not.
        """
        try:
            async with asyncio.timeout(wait_s):
                await self._until(self._subscribed)
                while not self._greeted.is_set():
                    self._send(Type.HELLO)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_HELLO_EVERY_S):
                            await self._until(self._greeted)
        except TimeoutError:
            text = "is the command approved, and its time not over?"
            raise NoTunnel(f"the gateway did not answer within {wait_s:g} s; {text}") from None

    async def lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one program; a second one at the same time is turned away."""
        if self._program is not None or not self._greeted.is_set():
            writer.close()
            return
        self._program = writer
        try:
            while octets := await reader.read(CONTENT_MAX):
                self._sent += 1
                self._send(Type.DATA, self._sent, octets)
        except OSError as error:
            log.info("the program was lost: %s", error)
        finally:
            self._program = None
            writer.close()

    def stop(self) -> None:
        """End the tunnel in order: a person has had enough."""
        if not self.closed.done():
            self.closed.set_result("by the one who used it")

    def _hang_up(self, _closed: asyncio.Future[str]) -> None:
        if self._program is not None:
            self._program.close()

    async def _until(self, event: asyncio.Event) -> None:
        """Wait for an event, or raise what has ended the tunnel before."""
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait((waiting, self.closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self.closed.done() and not event.is_set():
            raise NoTunnel(self.closed.result())

    def _send(self, type_: Type, sequence: int = 0, content: bytes = b"") -> None:
        message = Message(self._session, Direction.DOWN, type_, sequence, content)
        self._client.publish(self._down, tunnel.to_payload(message), qos=0)

    def _take(self, payload: bytes) -> None:
        """Sort a message of the gateway; runs in the event loop."""
        try:
            message = tunnel.from_payload(payload, Direction.UP)
        except Refused as refusal:
            log.warning("dropped: %s", refusal)
            return
        if message.session != self._session or self.closed.done():
            return
        match message.type:
            case Type.HELLO:
                self._greeted.set()
            case Type.CLOSE:
                self._closed_there = True
                self.closed.set_result(message.content.decode("utf-8", "replace"))
            case Type.DATA if message.sequence != self._received + 1:
                self._fail(f"message {self._received + 1} of the meter was lost")
            case Type.DATA:
                self._received += 1
                if self._program is not None:
                    self._program.write(message.content)

    def _fail(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_exception(NoTunnel(why))

    def _make_client(self) -> mqtt.Client:
        name = f"tunnel-{secrets.token_hex(4)}"
        client = broker_client.make(self._broker.tunnel, self._broker.tls_ca, name)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._later(self._subscribed.set)
        client.on_disconnect = lambda *_: self._later(self._fail, "the broker was lost")
        client.on_message = lambda _client, _data, message: self._later(
            self._take, bytes(message.payload)
        )
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._later(self._fail, f"the broker refuses the account: {reason}")
        else:
            client.subscribe(self._up, qos=0)

    def _later(self, call: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)
