"""The command journal: what this gateway was told to do, and how that ended.

Theory of operation
-------------------
::

    unknown ──accept──→ executing ──settle──→ confirmed | failed | expired | unknown
       └──────refuse──→ rejected | expired | unknown

`accept` is one durable step, taken before anything is done: the command's counter is marked in the
replay window, a disconnect is counted against the ceilings, and the entry says *executing*. So a
command acts at most once: whoever finds *executing* after a restart only reads back. The functions
are parts of the transaction that also stores the result in the outbox.

A journal that was lost, or is new on a gateway that takes another's place, cannot say what was done
already. So every new journal has a beginning, the authority's own time at the first proof, and what
was issued before it is not carried out; unless it only reads, its outcome is unknown.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hesper_contracts.commands import Command

from hesper_gateway.config import CeilingsConfig
from hesper_gateway.database import Database, JobRefused
from hesper_gateway.replay import WIDTH, ReplayWindow

State = Literal["executing", "confirmed", "failed", "rejected", "expired", "unknown"]
HOUR_S = 3600
DAY_S = 86400
_CUTTING = frozenset({"limiter.write", "relay.disconnect", "tunnel.open"})
"""Kinds that count against the ceilings: through a tunnel somebody else can cut a supply, and a
limiter cuts it by itself."""
_WHOLE_LINE = frozenset({"tunnel.open"})
"""Of these, kinds that reach every meter of a line, so that each counts."""


class Replayed(JobRefused):
    """The command's counter was seen before, or is too old to tell: nothing is answered."""


class CeilingReached(JobRefused):
    """This gateway may not disconnect another supply now; the text says which limit."""


class TooSoon(JobRefused):
    """The last disconnect is not long enough ago; ``wait_s`` says how long it still takes."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.1f} s too soon after the last disconnect")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled command.

    ``digest`` is the SHA-256 of the envelope as it came; ``command`` and ``result`` are JSON.
    """

    command_id: str
    digest: bytes
    command: bytes
    state: State
    result: bytes


def find(database: Database, command_id: str) -> Entry | None:
    """Returns the entry of a command; None when it is not known (any more)."""
    row = database.read(
        lambda c: c.execute(
            "SELECT command_id, digest, command, state, result FROM commands WHERE command_id = ?",
            (command_id,),
        ).fetchone()
    )
    return Entry(*row) if row else None


def executing(database: Database) -> list[Entry]:
    """Returns the commands that were being executed when the process ended."""
    rows = database.read(
        lambda c: c.execute(
            "SELECT command_id, digest, command, state, result FROM commands "
            "WHERE state = 'executing' ORDER BY counter"
        ).fetchall()
    )
    return [Entry(*row) for row in rows]


def highest_counter(database: Database) -> int:
    """Returns the highest command counter accepted or refused so far."""
    return database.read(replay_window).highest


def beginning(database: Database) -> datetime | None:
    """Returns when this journal began (aware, UTC); None for one that has not or needs not."""
    row = database.read(
        lambda c: c.execute("SELECT value FROM settings WHERE name = 'journal_began'").fetchone()
    )
    return datetime.fromisoformat(row[0]) if row else None


def is_new(connection: sqlite3.Connection) -> bool:
    """Says whether what another journal knew is lost, and this one has not begun yet."""
    return (
        connection.execute("SELECT 1 FROM settings WHERE name = 'new_journal'").fetchone()
        is not None
    )


def lose(connection: sqlite3.Connection) -> None:
    """Counts this journal as a new one, which does not know what was done before."""
    connection.execute("INSERT OR REPLACE INTO settings VALUES ('new_journal', 1)")


def begin(connection: sqlite3.Connection, at: datetime) -> None:
    """Notes the beginning of a new journal, once; does nothing to one that has begun."""
    if connection.execute("DELETE FROM settings WHERE name = 'new_journal'").rowcount:
        connection.execute(
            "INSERT OR REPLACE INTO settings VALUES ('journal_began', ?)", (at.isoformat(),)
        )


def accept(
    connection: sqlite3.Connection,
    command: Command,
    entry: Entry,
    ceilings: CeilingsConfig,
    now_s: float,
    in_reach: int = 1,
) -> None:
    """Marks counter, disconnect and *executing*.

    Args:
        connection: In the transaction that stores the result.
        command: What was signed.
        entry: Its entry.
        ceilings: This gateway's own limits.
        now_s: The gateway's earliest possible time, epoch s.
        in_reach: How many supplies could be cut through the command's line.

    Raises:
        Replayed: the counter is not fresh.
        CeilingReached: one of the gateway's own limits.
        TooSoon: the same command is welcome a little later.
    """
    _mark(connection, command.counter)
    if command.kind in _CUTTING:
        count = in_reach if command.kind in _WHOLE_LINE else 1
        _count_cuts(connection, count, ceilings, now_s)
    _insert(connection, command, entry)


def refuse(connection: sqlite3.Connection, command: Command, entry: Entry) -> None:
    """Journals a command that is not executed.

    Raises:
        Replayed: the counter is not fresh.
    """
    _mark(connection, command.counter)
    _insert(connection, command, entry)


def settle(connection: sqlite3.Connection, command_id: str, state: State, result: bytes) -> None:
    """Journals the end of an executing command."""
    connection.execute(
        "UPDATE commands SET state = ?, result = ? WHERE command_id = ? AND state = 'executing'",
        (state, result, command_id),
    )


def replay_window(connection: sqlite3.Connection) -> ReplayWindow:
    """Returns which command counters were seen."""
    row = connection.execute("SELECT value FROM settings WHERE name = 'replay'").fetchone()
    return ReplayWindow.from_octets(row[0]) if row else ReplayWindow()


def _mark(connection: sqlite3.Connection, counter: int) -> None:
    window = replay_window(connection)
    if not window.fresh(counter):
        raise Replayed(f"command counter {counter} again, the highest was {window.highest}")
    connection.execute(
        "INSERT OR REPLACE INTO settings VALUES ('replay', ?)",
        (window.marked(counter).to_octets(),),
    )


def _count_cuts(
    connection: sqlite3.Connection, count: int, ceilings: CeilingsConfig, now_s: float
) -> None:
    connection.execute("DELETE FROM cuts WHERE at < ?", (now_s - DAY_S,))
    # What lies further ahead is of before the clock was set back: it counts, and is waited for not.
    hour, day, last = connection.execute(
        "SELECT count(*) FILTER (WHERE at > ?), count(*), max(at) FILTER (WHERE at <= ?) FROM cuts",
        (now_s - HOUR_S, now_s + ceilings.seconds_between),
    ).fetchone()
    for made, most, span in (
        (hour, ceilings.disconnects_per_hour, "hour"),
        (day, ceilings.disconnects_per_day, "day"),
    ):
        if made + count > most:
            more = "" if count == 1 else f" and {count} supplies on the line"
            raise CeilingReached(f"{made} disconnects within the {span}{more}, at most {most} here")
    if last is not None and now_s - last < ceilings.seconds_between:
        raise TooSoon(ceilings.seconds_between - (now_s - last))
    connection.executemany("INSERT INTO cuts (at) VALUES (?)", [(now_s,)] * count)


def _insert(connection: sqlite3.Connection, command: Command, entry: Entry) -> None:
    connection.execute(
        "DELETE FROM commands WHERE counter <= ? AND state <> 'executing'",
        (command.counter - 2 * WIDTH,),
    )
    connection.execute(
        "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?)",
        (
            entry.command_id,
            command.counter,
            entry.digest,
            entry.command,
            entry.state,
            entry.result,
        ),
    )
