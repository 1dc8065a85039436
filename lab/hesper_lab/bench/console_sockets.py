"""WebSockets of simulated clients, read past as cheaply as can be (RFC 6455)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
import zlib
from datetime import datetime
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

_END: Final = b"\r\n\r\n"
_FLUSHED: Final = b"\0\0\xff\xff"  # RFC 7692, 7.2.2
_TEXT, _PING, _PONG = 0x1, 0x9, 0xA


def upgrade(url: str, path: str, cookie: str) -> bytes:
    """Return the request for a WebSocket as a browser on that address sends it."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Origin: {url}",
        f"Cookie: {cookie}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    )
    return "\r\n".join(lines).encode() + _END


class Socket(asyncio.Protocol):
    """One WebSocket (RFC 6455) that says what it was told to say, once it is open."""

    def __init__(self, request: bytes, says: str = "") -> None:
        self._request, self._says = request, says
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._is_open = False
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for it that it will not open."""
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionError("closed before it was open"))

    def data_received(self, data: bytes) -> None:
        """Take frames off what has arrived."""
        self._buffer += data
        if not self._is_open:
            head, end, rest = self._buffer.partition(_END)
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.ready.set_exception(ConnectionError(head[:80].decode("latin-1")))
                return
            self._is_open, self._buffer = True, bytearray(rest)
            self.opened()
        while (frame := self._next()) is not None:
            opcode, payload = frame
            if opcode & 0xF == _PING:
                self._write(_PONG, payload)
            elif opcode & 0xF == _TEXT:
                self.told(opcode, payload)

    def opened(self) -> None:
        """Say what is to be said."""
        if self._says:
            self.say(self._says)

    def told(self, _opcode: int, _payload: bytes) -> None:
        """Read past a message; the first shows that the socket is served."""
        if not self.ready.done():
            self.ready.set_result(None)

    def say(self, text: str) -> None:
        """Send a short message."""
        self._write(_TEXT, text.encode())

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes([0x80 | opcode, 0x80 | min(size, 126)])
        more = size.to_bytes(2, "big") if size >= 126 else b""
        if self._transport is not None:
            self._transport.write(head + more + bytes(4) + payload)  # a mask of zeros

    def _next(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        opcode, size, start = self._buffer[0], self._buffer[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(self._buffer[2:start], "big")
        if len(self._buffer) < start + size:
            return None
        payload = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return opcode, payload


class Heard(NamedTuple):
    """One event on its way to a client; epoch seconds."""

    stored_at: float
    told_at: float
    heard_at: float


def _epoch_s(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class NotingSocket(Socket):
    """One that keeps what it is told, and when that was."""

    def __init__(self, request: bytes, says: str = "") -> None:
        super().__init__(request, says)
        self._heard: list[tuple[float, bytes]] = []

    def told(self, opcode: int, payload: bytes) -> None:
        """Keep a message."""
        self._heard.append((time.time(), payload))
        super().told(opcode, payload)

    def heard(self) -> list[Heard]:
        """Return what became of each event."""
        return [
            Heard(_epoch_s(event["stored_at"]), _epoch_s(frame["told_at"]), at)
            for at, payload in self._heard
            for frame in [json.loads(payload)]
            for event in frame.get("events", ())
        ]


class PageSocket(Socket):
    """NiceGUI's: Socket.IO on Engine.IO, whose own pings are messages."""

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self._inflate = zlib.decompressobj(wbits=-15)

    def told(self, opcode: int, payload: bytes) -> None:
        """Join the namespace when asked to, answer a ping, read past content."""
        if opcode & 0x40:
            payload = self._inflate.decompress(payload + _FLUSHED)
        if payload.startswith(b"0"):
            self.say("40")
        elif payload.startswith(b"2"):
            self.say("3")
        else:
            super().told(opcode, payload)
