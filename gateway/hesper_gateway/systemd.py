"""What systemd wants of a service: a word when it is up, a sign of life, and levels in its log.

The protocol (sd_notify(3)) is one datagram to the socket that ``NOTIFY_SOCKET`` names; there is no
dependency for that. A sign of life is given only after event loop and database writer have both
done a turn: an agent that hangs in either falls silent, and systemd starts it again.
"""

import asyncio
import logging
import os
import socket
import sqlite3
import sys
from contextlib import suppress

from hesper_gateway.database import Database, StorageFull

_MICROSECONDS = 1_000_000
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}


def notify(word: str) -> None:
    """Tells systemd, where it is listening; a word that cannot be sent is not worth a failure."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(word.encode(), address)


def watchdog_s() -> float | None:
    """Returns how often systemd wants a sign of life of this process; None when it does not."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    if not limit.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit) / _MICROSECONDS


async def live(database: Database) -> None:
    """Says that the agent is up, then gives signs of life until cancelled."""
    notify("READY=1")
    limit_s = watchdog_s()
    try:
        while limit_s:
            with suppress(StorageFull):  # the writer is alive, and the outbox tells of the disk
                await database.write(_turn)
            notify("WATCHDOG=1")
            await asyncio.sleep(limit_s / 3)
    except asyncio.CancelledError:
        notify("STOPPING=1")
        raise


def _turn(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1").fetchone()


def log_format() -> logging.Formatter:
    """Returns how log lines look: with a level that journald understands, or with the time."""
    if _to_the_journal():
        return _JournalFormatter("%(levelname)s %(name)s: %(message)s")
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


class _JournalFormatter(logging.Formatter):
    """Puts sd-daemon(3)'s ``<N>`` in front of each line; the journal keeps the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return prefix + super().format(record).replace("\n", f"\n{prefix}")


def _to_the_journal() -> bool:
    """Whether stderr is journald's stream and not redirected (systemd.exec(5), JOURNAL_STREAM)."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        stream = os.fstat(sys.stderr.fileno())
    except OSError:
        return False
    return (device, inode) == (str(stream.st_dev), str(stream.st_ino))
