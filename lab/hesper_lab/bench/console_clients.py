"""Open pages of the console without browsers, in a process of their own: sockets read past.

A page has two: NiceGUI's, over which its content comes, and the live one. Both are opened as a
browser does, with compression, and pings are answered; what arrives on the live one is counted and
not looked at, so that hundreds of pages cost this process little. The task comes as one line of
JSON on stdin, the number of open sockets goes to stdout, and all are closed when stdin is.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final, cast
from urllib.parse import urlencode, urlsplit

import httpx

_OPEN_WITHIN_S: Final = 60.0
_AT_ONCE: Final = 20
_END: Final = b"\r\n\r\n"
_FLUSHED: Final = b"\0\0\xff\xff"  # RFC 7692, 7.2.2
_TEXT, _PING, _PONG = 0x1, 0x9, 0xA
_CLIENT_ID: Final = re.compile(r"'client_id': '([0-9a-f-]{36})'")
_ENGINE: Final = {"implicit_handshake": "true", "next_message_id": 0, "EIO": 4}


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


def _request(url: str, path: str, cookie: str) -> bytes:
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


async def _connect(url: str, socket: Socket) -> None:
    where = urlsplit(url)
    host, port = str(where.hostname), int(where.port or 0)
    await asyncio.get_running_loop().create_connection(lambda: socket, host, port)
    await asyncio.wait_for(socket.ready, _OPEN_WITHIN_S)


async def _page(client: httpx.AsyncClient, url: str, place: str, cookie: str) -> None:
    """Load a page and open its socket."""
    answer = await client.get(f"{url}{place}", headers={"Cookie": cookie})
    found = _CLIENT_ID.search(answer.text)
    if found is None:
        raise ValueError(f"{place} is no page: {answer.status_code}")
    names = {"client_id": found[1], "tab_id": uuid.uuid4(), "document_id": uuid.uuid4()}
    path = f"/_nicegui_ws/socket.io/?{urlencode({**names, **_ENGINE, 'transport': 'websocket'})}"
    await _connect(url, PageSocket(_request(url, path, cookie)))


async def _open(task: dict[str, Any]) -> int:
    """Open all that the task names, some at a time; return how many sockets there are."""
    url, cookies, places = task["url"], task["cookies"], task["places"]
    follow = json.dumps({"type": "follow", "events": task["events"], "meters": []})
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, client: httpx.AsyncClient) -> int:
        cookie = cookies[number % len(cookies)]
        async with gate:
            if places:
                await _page(client, url, places[number % len(places)], cookie)
            await _connect(url, Socket(_request(url, "/api/v1/live", cookie), follow))
        return 2 if places else 1

    async with httpx.AsyncClient(timeout=_OPEN_WITHIN_S) as client:
        return sum(await asyncio.gather(*(one(n, client) for n in range(task["count"]))))


async def _serve(task: dict[str, Any]) -> None:
    sockets = await _open(task)
    sys.stdout.write(f"{sockets}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def opened(
    url: str,
    cookies: Sequence[str],
    count: int,
    *,
    places: Sequence[str] = (),
    events: bool = False,
) -> Iterator[None]:
    """Hold so many clients open.

    Args:
        url: The console's address.
        cookies: Sessions, which they take in turn.
        count: How many clients.
        places: Pages, which they take in turn; none: live sockets alone.
        events: Whether their pages list events.

    Raises:
        RuntimeError: not all could be opened; the process has told why on stderr.
    """
    task = {"url": url, "cookies": list(cookies), "count": count}
    task |= {"places": list(places), "events": events}
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        stdin, stdout = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)
        stdin.write(json.dumps(task) + "\n")
        stdin.flush()
        if not stdout.readline().strip():
            raise RuntimeError(f"not all of {count} clients could be opened")
        try:
            yield
        finally:
            stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.stdin.readline())))
