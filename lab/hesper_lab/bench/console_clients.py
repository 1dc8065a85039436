"""Open pages of the console without browsers, in a process of their own: sockets read past.

A page has two: NiceGUI's, over which its content comes, and the live one. Both are opened as a
browser does, with compression, and pings are answered; what arrives on the live one is not looked
at, so that hundreds of pages cost this process little. Where pages list events, the first and the
last of them keep what comes, with the moment. The task comes as one line of JSON on stdin, the
number of open sockets goes to stdout; all are closed when stdin is, and what was kept is told.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast
from urllib.parse import urlencode, urlsplit

import httpx

from hesper_lab.bench.console_sockets import Heard, NotingSocket, PageSocket, Socket, upgrade

_OPEN_WITHIN_S: Final = 60.0
_ALL_WITHIN_S: Final = 300.0
_AT_ONCE: Final = 8  # more would wait for one another in the head end
_CLIENT_ID: Final = re.compile(r"'client_id': '([0-9a-f-]{36})'")
_ENGINE: Final = {"implicit_handshake": "true", "next_message_id": 0, "EIO": 4}


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
    await _connect(url, PageSocket(upgrade(url, path, cookie)))


async def _open(task: dict[str, Any]) -> list[Socket]:
    """Open all that the task names, some at a time; return their live sockets."""
    url, cookies, places = task["url"], task["cookies"], task["places"]
    follow = json.dumps({"type": "follow", "events": task["events"], "meters": []})
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(number: int, client: httpx.AsyncClient) -> Socket:
        cookie = cookies[number % len(cookies)]
        notes = task["events"] and number in (0, task["count"] - 1)
        kind = NotingSocket if notes else Socket
        live = kind(upgrade(url, "/api/v1/live", cookie), follow)
        async with gate:
            if places:
                await _page(client, url, places[number % len(places)], cookie)
            await _connect(url, live)
        return live

    async with httpx.AsyncClient(timeout=_OPEN_WITHIN_S) as client:
        return await asyncio.gather(*(one(n, client) for n in range(task["count"])))


async def _serve(task: dict[str, Any]) -> None:
    async with asyncio.timeout(_ALL_WITHIN_S):
        sockets = await _open(task)
    sys.stdout.write(f"{len(sockets)}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    noted = [each for each in sockets if isinstance(each, NotingSocket)]
    json.dump([each.heard() for each in noted], sys.stdout)


@dataclass
class Clients:
    """Clients that are open: their process; after the end, what those that noted events heard."""

    pid: int
    heard: list[list[Heard]] = field(default_factory=list)


@contextmanager
def opened(
    url: str,
    cookies: Sequence[str],
    count: int,
    *,
    places: Sequence[str] = (),
    events: bool = False,
) -> Iterator[Clients]:
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
        try:
            stdin.write(json.dumps(task) + "\n")
            stdin.flush()
            if not stdout.readline().strip():
                raise RuntimeError(f"not all of {count} clients could be opened")
            clients = Clients(process.pid)
            yield clients
            stdin.close()
            clients.heard += [[Heard(*each) for each in one] for one in json.loads(stdout.read())]
        except BaseException:
            process.kill()  # nobody waits for what it may still be waiting for
            raise


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.stdin.readline())))
