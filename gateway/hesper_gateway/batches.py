"""The rows of the outbox: what one transaction does to stored and released batches.

Each function is a job of `database`, or part of one. No secondary index and no update: a batch is
written once and deleted once, and a released batch gets one small row of its own.
"""

import logging
import secrets
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from hesper_contracts import batch
from hesper_contracts.frame import Kind
from hesper_contracts.receipts import Receipt

log = logging.getLogger(__name__)

MOST_EVICTED = 256
_EVICTABLE = (
    "SELECT r.sequence, length(b.payload) FROM released r JOIN batches b USING (sequence) "
    "WHERE r.verdict = ? AND r.sequence < (SELECT max(sequence) FROM batches) "
    "ORDER BY r.sequence LIMIT ?"
)

SealBatch = Callable[[str, int], bytes]
"""Returns the payload for an epoch and a sequence."""
Due = OrderedDict[int, None]
"""Sequences, oldest first: the first is found at once, however many before it are gone."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One stored batch: its sequence, kind and the octets to publish."""

    sequence: int
    kind: Kind
    payload: bytes


@dataclass(frozen=True, slots=True)
class NewBatch:
    """A batch that has no identity yet."""

    kind: Kind
    appended_at: int
    seal: SealBatch


def epoch(connection: sqlite3.Connection) -> str:
    """Returns this database's random epoch, drawn at first use and after `forget_epoch`."""
    connection.execute(
        "INSERT OR IGNORE INTO settings VALUES ('epoch', ?)",
        (secrets.token_hex(batch.EPOCH_LENGTH),),
    )
    row: tuple[str] = connection.execute(
        "SELECT value FROM settings WHERE name = 'epoch'"
    ).fetchone()
    return row[0]


def forget_epoch(connection: sqlite3.Connection) -> None:
    """Has the next `epoch` draw another one."""
    connection.execute("DELETE FROM settings WHERE name = 'epoch'")


def insert(connection: sqlite3.Connection, new: NewBatch, of_epoch: str) -> tuple[int, int]:
    """Seals a batch with the next sequence and stores it; returns sequence and octets.

    The next sequence is one more than the highest stored: eviction always leaves that row.
    """
    (highest,) = connection.execute("SELECT max(sequence) FROM batches").fetchone()
    sequence = 1 if highest is None else highest + 1
    payload = new.seal(of_epoch, sequence)
    connection.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?)", (sequence, new.kind, new.appended_at, payload)
    )
    return sequence, len(payload)


def evict(connection: sqlite3.Connection, excess: int) -> int:
    """Deletes released batches, oldest first, rejected ones last; returns the octets freed.

    The backlog is never touched.
    """
    freed = 0
    for verdict in ("stored", "rejected"):
        rows = connection.execute(_EVICTABLE, (verdict, MOST_EVICTED)).fetchall()
        for sequence, octets in rows:
            if freed >= excess:
                return freed
            connection.execute("DELETE FROM batches WHERE sequence = ?", (sequence,))
            connection.execute("DELETE FROM released WHERE sequence = ?", (sequence,))
            freed += octets
    return freed


def waiting(connection: sqlite3.Connection, sequence: int) -> Batch | None:
    """Returns an unreceipted batch with its octets; None when it does not wait (any more)."""
    row = connection.execute(
        "SELECT kind, payload FROM backlog WHERE sequence = ?", (sequence,)
    ).fetchone()
    return Batch(sequence, Kind(row[0]), row[1]) if row else None


def release(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Marks a waiting batch as released."""
    connection.execute(
        "INSERT INTO released VALUES (?, ?, ?)",
        (receipt.sequence, receipt.verdict, receipt.reason[:200]),
    )


def put_back(connection: sqlite3.Connection, reason_end: str) -> tuple[int, int]:
    """Puts batches back that were refused for good for a reason; returns count and octets."""
    refused = "verdict = 'rejected' AND reason LIKE '%' || ?"
    return _into_backlog(connection, refused, reason_end)


def take_back(connection: sqlite3.Connection, from_sequence: int) -> tuple[int, int]:
    """Puts released batches that are still held back into the backlog; returns count and octets.

    Those that the cloud refused for good stay set aside.
    """
    return _into_backlog(connection, "verdict = 'stored' AND sequence >= ?", from_sequence)


def _into_backlog(connection: sqlite3.Connection, which: str, value: str | int) -> tuple[int, int]:
    """Has those wait again that a condition chooses and that are still held."""
    before = backlog(connection)
    connection.execute(
        f"DELETE FROM released WHERE {which} "  # noqa: S608 - our own conditions
        "AND sequence IN (SELECT sequence FROM batches)",
        (value,),
    )
    after = backlog(connection)
    return after[0] - before[0], after[1] - before[1]


def backlog(connection: sqlite3.Connection) -> tuple[int, int]:
    """Returns count and octets of the unreceipted batches."""
    row: tuple[int, int] = connection.execute(
        "SELECT count(*), coalesce(sum(length(payload)), 0) FROM backlog"
    ).fetchone()
    return row


def stored(connection: sqlite3.Connection) -> tuple[int, int]:
    """Returns the highest sequence (0 before the first) and the octets of all payloads."""
    row: tuple[int, int] = connection.execute(
        "SELECT coalesce(max(sequence), 0), coalesce(sum(length(payload)), 0) FROM batches"
    ).fetchone()
    return row


def free_octets(connection: sqlite3.Connection) -> int:
    """Returns the room inside the file that deleted rows left."""
    (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(size)


def pending_others(connection: sqlite3.Connection) -> tuple[Due, Due]:
    """Returns the unreceipted results, and the events, oldest first."""
    rows = connection.execute(
        "SELECT sequence, kind FROM backlog WHERE kind <> ? ORDER BY sequence", (Kind.READINGS,)
    )
    found = Due(), Due()
    for sequence, kind in rows:
        found[kind != Kind.RESULTS][sequence] = None
    return found


def pending_readings(connection: sqlite3.Connection, after: int, limit: int) -> list[int]:
    """Returns unreceipted batches of readings above a sequence, oldest first."""
    rows = connection.execute(
        "SELECT sequence FROM backlog WHERE sequence > ? AND kind = ? ORDER BY sequence LIMIT ?",
        (after, Kind.READINGS, limit),
    )
    return [row[0] for row in rows]


def load(connection: sqlite3.Connection, sequence: int) -> Batch | None:
    """Returns a stored batch with its octets; None when it is gone."""
    row = connection.execute(
        "SELECT kind, payload FROM batches WHERE sequence = ?", (sequence,)
    ).fetchone()
    return Batch(sequence, Kind(row[0]), row[1]) if row else None


def appended_at(connection: sqlite3.Connection, sequence: int) -> int | None:
    """Returns when a batch was stored (epoch s); None when it is gone."""
    row = connection.execute(
        "SELECT appended_at FROM batches WHERE sequence = ?", (sequence,)
    ).fetchone()
    return row[0] if row else None
