"""The messages of open tunnels: those that come down, checked for order, and those that go up.

A message of no open tunnel is dropped, because whoever sends it is late or guesses.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from hesper_contracts import tunnel
from hesper_contracts.frame import Kind
from hesper_contracts.tunnel import CONTENT_MAX, Direction, Message, Type

log = logging.getLogger(__name__)

WAITING_MAX = 64
"""Messages that may wait for the line; a tool that sends more is faster than any line."""

Publish = Callable[[Kind, bytes], Awaitable[bool]]
"""Hands a payload to the broker and returns whether there was one."""


async def _nowhere(_kind: Kind, _payload: bytes) -> bool:
    return False


class Tunnels:
    """All tunnels of a gateway; the uplink delivers to it.

    Attributes:
        publish: Where messages leave.
        connected: Set while the broker has us.
        dropped: Messages of no open tunnel.
    """

    def __init__(self) -> None:
        self.publish: Publish = _nowhere
        self.connected = asyncio.Event()
        self.dropped = 0
        self._open: dict[bytes, Mail] = {}

    def receive(self, payload: bytes) -> None:
        """Take what came down; raises Refused when it is no message."""
        message = tunnel.from_payload(payload, Direction.DOWN)
        mail = self._open.get(message.session)
        if mail is None:
            self.dropped += 1
        else:
            mail.take(message)

    @contextmanager
    def opened(self, session: bytes) -> Iterator["Mail"]:
        """Deliver to the tunnel of that session while the context lasts."""
        mail = self._open[session] = Mail(session, self)
        try:
            yield mail
        finally:
            del self._open[session]


class Mail:
    """What goes between one tunnel and its tool."""

    def __init__(self, session: bytes, tunnels: Tunnels) -> None:
        self._session = session
        self._tunnels = tunnels
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MAX)
        self._received = 0
        self._sent = 0
        self.greeted = asyncio.Event()
        """The tool is there, or will not come."""
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why no more can come."""

    @property
    def connected(self) -> bool:
        """Whether the broker has us."""
        return self._tunnels.connected.is_set()

    def take(self, message: Message) -> None:
        """Sort a message of ours; the first that is out of order is the last."""
        if self.over.done():
            return
        match message.type:
            case Type.HELLO if self._received:
                self._end("a second tool came")
            case Type.HELLO:
                self.greeted.set()
            case Type.CLOSE:
                reason = message.content[:100].decode("utf-8", "replace")
                self._end(f"closed by the tool: {reason}")
            case Type.DATA if message.sequence != self._received + 1:
                text = f"message {self._received + 1} from the tool was lost"
                self._end(f"{text}, {message.sequence} came")
            case Type.DATA if self._waiting.full():
                self._end("the tool sends faster than the line takes")
            case Type.DATA:
                self._received += 1
                self._waiting.put_nowait(message.content)

    def _end(self, reason: str) -> None:
        self.over.set_result(reason)
        self.greeted.set()  # nobody is to wait for it any more

    async def next(self) -> bytes:
        """Return the next octets for the line."""
        return await self._waiting.get()

    async def greet(self) -> bool:
        """Tell the tool that the line is open; returns whether the broker took it."""
        return await self._send(Type.HELLO)

    async def send(self, octets: bytes) -> bool:
        """Send what came from the line; returns whether the broker took all of it."""
        for start in range(0, len(octets), CONTENT_MAX):
            self._sent += 1
            piece = octets[start : start + CONTENT_MAX]
            if not await self._send(Type.DATA, self._sent, piece):
                return False
        return True

    async def close(self, reason: str) -> None:
        """Tell the tool why it is over; that may be lost."""
        await self._send(Type.CLOSE, content=reason.encode()[:CONTENT_MAX])

    async def _send(self, type_: Type, sequence: int = 0, content: bytes = b"") -> bool:
        message = Message(self._session, Direction.UP, type_, sequence, content)
        return await self._tunnels.publish(Kind.TUNNEL, tunnel.to_payload(message))
