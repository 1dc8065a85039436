"""A pseudo-terminal that others open as a serial port, with a link of a stable name.

The simulator holds the master. While it holds the other side open too, the port never hangs up,
which a line with readers on our side needs; a line that only talks leaves it closed, so that it can
tell whether anybody listens.
"""

from __future__ import annotations

import asyncio
import os
import pty
import select
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CHUNK: Final = 65_536
_QUEUE_LIMIT: Final = 1 << 20


class PtyPort:
    """One pseudo-terminal; use it from within the event loop.

    Args:
        link: Where the symbolic link to the port is put; an older link is replaced.
        hold_open: Keep the other side open; needed to receive.
    """

    def __init__(self, link: Path, *, hold_open: bool) -> None:
        self.link = link
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(slave)
        self._slave = slave if hold_open else None
        if not hold_open:
            os.close(slave)
        link.unlink(missing_ok=True)
        link.symlink_to(self.path)
        self._waiting = bytearray()

    def listen(self, receive: Callable[[bytes], None]) -> None:
        """Call `receive` with whatever the other side writes."""
        asyncio.get_running_loop().add_reader(self._master, self._readable, receive)

    @property
    def somebody_listens(self) -> bool:
        """Whether the other side is open (meaningful without `hold_open`)."""
        poll = select.poll()
        poll.register(self._master, select.POLLHUP)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def write(self, octets: bytes) -> None:
        """Send octets; what the port cannot take yet follows later, up to 1 MiB."""
        if len(self._waiting) + len(octets) > _QUEUE_LIMIT:
            return
        self._waiting += octets
        self._flush()

    def close(self) -> None:
        """Close both sides and remove the link."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._master)
        loop.remove_writer(self._master)
        os.close(self._master)
        if self._slave is not None:
            os.close(self._slave)
        self.link.unlink(missing_ok=True)

    def _readable(self, receive: Callable[[bytes], None]) -> None:
        try:
            octets = os.read(self._master, _CHUNK)
        except BlockingIOError:
            return
        if octets:
            receive(octets)

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            written = os.write(self._master, self._waiting)
        except BlockingIOError:
            written = 0
        except OSError:
            written = len(self._waiting)
        del self._waiting[:written]
        if self._waiting:
            loop.add_writer(self._master, self._flush)
        else:
            loop.remove_writer(self._master)
