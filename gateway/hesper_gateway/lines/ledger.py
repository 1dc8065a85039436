"""What the lines have used: limits on calls and messages, octets and time for each meter.

A call or message is written down before it is made, so that neither a crash nor a loop of restarts
spends more than the limits allow. Octets are counted in memory and written down every few minutes;
a power cut loses those minutes of the count, and no reading.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from hesper_gateway.database import Database, Job, StorageFull
from hesper_gateway.errors import DialLimit
from hesper_gateway.lines.dial_limits import (
    DAY_S,
    DialOut,
    Limits,
    Reached,
    SteadyCount,
    reached,
)

T = TypeVar("T")

WRITE_EVERY_S = 300.0
KEPT_DAYS = 400
"""On which lines were used: counted by what is there, for the clock may be years ahead."""
_TABLES = """
CREATE TABLE IF NOT EXISTS dial_outs (
    cell TEXT NOT NULL, kind TEXT NOT NULL, meter TEXT NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS line_use (
    meter TEXT NOT NULL, day INTEGER NOT NULL, octets_sent INTEGER NOT NULL,
    octets_received INTEGER NOT NULL, call_s INTEGER NOT NULL, calls INTEGER NOT NULL,
    messages INTEGER NOT NULL, PRIMARY KEY (meter, day)) WITHOUT ROWID
"""
_ADD = (
    "INSERT INTO line_use VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "octets_sent = octets_sent + excluded.octets_sent, "
    "octets_received = octets_received + excluded.octets_received, "
    "call_s = call_s + excluded.call_s, calls = calls + excluded.calls, "
    "messages = messages + excluded.messages"
)
_FORGET = (
    "DELETE FROM line_use WHERE day NOT IN "
    "(SELECT DISTINCT day FROM line_use ORDER BY day DESC LIMIT ?)"
)
_MADE = "SELECT at FROM dial_outs WHERE cell = ? AND kind = ? AND at > ? ORDER BY at DESC LIMIT ?"
_SUM = (
    "SELECT meter, sum(octets_sent), sum(octets_received), sum(call_s), sum(calls), sum(messages) "
    "FROM line_use WHERE day BETWEEN ? AND ? GROUP BY meter"
)


@dataclass(slots=True)
class Use:
    """What one meter has used of its line."""

    octets_sent: int = 0
    octets_received: int = 0
    call_s: int = 0
    calls: int = 0
    messages: int = 0


class Ledger:
    """The book of one gateway.

    Args:
        database: Where it is kept; its own tables are made when they are absent.
        now: Epoch seconds, UTC; may jump.
        steady: Seconds that nobody sets; without it, `now` is taken.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], float],
        steady: Callable[[], float] | None = None,
    ) -> None:
        self._database = database
        self._now = now
        self._count = SteadyCount(steady or now)
        self._unwritten: dict[str, Use] = {}
        database.submit(_make_tables).result()

    async def spend(self, kind: DialOut, cell: str, meter: str, limits: Limits) -> None:
        """Write down a call or message that is about to be made.

        Raises:
            DialLimit: the cell has had its share of the hour or day, or there is no room to write
                it down; it must not be made.
        """
        full = self._count.take(cell, kind, limits)
        if full is None:
            try:
                full = await self._write(_spending(kind, cell, meter, limits, int(self._now())))
            except DialLimit:
                self._count.give_back(cell, kind)
                raise
            if full is not None:
                self._count.give_back(cell, kind)
        if full is not None:
            raise DialLimit(full.text, full.wait_s)

    def last(self, kind: DialOut, meter: str) -> float | None:
        """Return when the meter was last called or sent a message, within the last day."""
        now = int(self._now())
        found: float | None = self._database.read(
            lambda connection: connection.execute(
                "SELECT max(at) FROM dial_outs WHERE kind = ? AND meter = ? AND at <= ?",
                (kind, meter, now),
            ).fetchone()[0]
        )
        return found

    async def note(self, name: str, value: str) -> None:
        """Write down a word under a name; it is durable when this returns.

        Raises:
            DialLimit: there is no room.
        """

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

        await self._write(job)

    def noted(self, name: str) -> str:
        """Return the word under a name; empty when there is none."""
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT value FROM settings WHERE name = ?", (name,)
            ).fetchone()
        )
        return str(row[0]) if row else ""

    def of(self, meter: str) -> Use:
        """Return what is to be added to the meter's count; callers add to it."""
        use = self._unwritten.get(meter)
        if use is None:
            use = self._unwritten[meter] = Use()
        return use

    async def run(self) -> None:
        """Write the counts down now and then, for ever."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write down what was counted; on a full disk it is kept for the next time."""
        now, unwritten = int(self._now()), self._unwritten
        if not unwritten:
            return
        self._unwritten = {}
        rows = [_row(meter, now, use) for meter, use in unwritten.items()]

        def job(connection: sqlite3.Connection) -> None:
            connection.executemany(_ADD, rows)
            connection.execute(_FORGET, (KEPT_DAYS,))

        try:
            await self._database.write(job)
        except StorageFull:
            for meter, use in unwritten.items():
                _add(self.of(meter), use)

    async def _write(self, job: Job[T]) -> T:
        try:
            return await self._database.write(job)
        except StorageFull as full:
            raise DialLimit(f"it cannot be written down: {full}", WRITE_EVERY_S) from full

    def between(self, first: int, last: int | None) -> Mapping[str, Use]:
        """Return what each meter used on some days, counted since the epoch in UTC.

        Args:
            first: The first of them.
            last: The last of them; None for today, with what is not written down yet.
        """
        days = (first, int(self._now()) // DAY_S if last is None else last)
        rows = self._database.read(lambda connection: connection.execute(_SUM, days).fetchall())
        used = {meter: Use(*counts) for meter, *counts in rows}
        if last is None:
            for meter, use in self._unwritten.items():
                _add(used.setdefault(meter, Use()), use)
        return used


def _spending(
    kind: DialOut, cell: str, meter: str, limits: Limits, now: int
) -> Job[Reached | None]:
    """Return the job that writes one call or message down, or returns the limit it meets."""

    def job(connection: sqlite3.Connection) -> Reached | None:
        connection.execute("DELETE FROM dial_outs WHERE at < ?", (now - DAY_S,))
        # The clock was wrong then, or is now: they count as if they were made just now.
        connection.execute("UPDATE dial_outs SET at = ? WHERE at > ?", (now, now))
        for span_s, most in limits.spans:
            made = connection.execute(_MADE, (cell, kind, now - span_s, most)).fetchall()
            if len(made) >= most:
                wait_s = made[-1][0] + span_s - now if made else span_s
                return reached(cell, kind, span_s, most, wait_s)
        connection.execute("INSERT INTO dial_outs VALUES (?, ?, ?, ?)", (cell, kind, meter, now))
        use = Use(calls=kind is DialOut.CALL, messages=kind is DialOut.MESSAGE)
        connection.execute(_ADD, _row(meter, now, use))
        return None

    return job


def _make_tables(connection: sqlite3.Connection) -> None:
    for table in _TABLES.split(";"):  # executescript() would commit what others wrote
        connection.execute(table)


def _row(meter: str, now: int, use: Use) -> tuple[str | int, ...]:
    counts = (use.octets_sent, use.octets_received, use.call_s, use.calls, use.messages)
    return (meter, now // DAY_S, *(int(count) for count in counts))


def _add(total: Use, more: Use) -> None:
    total.octets_sent += more.octets_sent
    total.octets_received += more.octets_received
    total.call_s += more.call_s
    total.calls += more.calls
    total.messages += more.messages
