"""A load generator for HTTP, in a process of its own: keep-alive connections, each asking in turn.

The task is one line of JSON on stdin: host, port, requests (whole, as octets in hex), connections,
seconds, and the answer's status that counts. The answer goes to stdout: how many, and the delays.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import Any, Final

import uvloop

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class Asking(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, notes how long it took."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = bytearray()
        self._asked_at = 0.0

    def connection_made(self, transport: Any) -> None:
        """Ask the first question."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if time.monotonic() >= self._load.until:
            self._transport.close()
            return
        self._asked_at = time.monotonic()
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        """Take octets; with the whole answer there, ask again."""
        self._buffer += data
        head_end = self._buffer.find(_HEAD_END)
        if head_end < 0:
            return
        head = bytes(self._buffer[:head_end])
        at = head.lower().find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
        if len(self._buffer) < head_end + len(_HEAD_END) + length:
            return
        self._load.count(head.split(b" ", 2)[1], time.monotonic() - self._asked_at)
        self._buffer.clear()
        self._ask()

    def connection_lost(self, _error: Exception | None) -> None:
        """Tell that this connection is done."""
        self._load.ended()


class Load:
    """All connections together."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.requests = itertools.cycle([bytes.fromhex(each) for each in task["requests"]])
        self.until = 0.0
        self._task = task
        self._left = int(task["connections"])
        self._done = asyncio.Event()
        self._delays_s: list[float] = []
        self._refused = 0

    def count(self, status: bytes, delay_s: float) -> None:
        """Note one answer."""
        self._delays_s.append(delay_s)
        self._refused += status != b"200"

    def ended(self) -> None:
        """Note that a connection is done."""
        self._left -= 1
        if not self._left:
            self._done.set()

    async def run(self) -> dict[str, Any]:
        """Ask for the task's seconds and return what came of it."""
        begun = time.monotonic()
        self.until = begun + float(self._task["seconds"])
        loop = asyncio.get_running_loop()
        for _ in range(int(self._task["connections"])):
            await loop.create_connection(lambda: Asking(self), "127.0.0.1", self._task["port"])
        await self._done.wait()
        return {
            "answers": len(self._delays_s),
            "refused": self._refused,
            "wall_s": time.monotonic() - begun,
            "cpu_s": time.process_time(),
            "delays_s": [round(delay, 6) for delay in self._delays_s],
        }


def main() -> None:
    """Carry out the task on stdin."""
    task = json.loads(sys.stdin.readline())

    async def carry_out() -> dict[str, Any]:
        return await Load(task).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(carry_out())) + "\n")


if __name__ == "__main__":
    main()
