"""How far each meter's profile buffers were read: the `captured_at` of the last stored row.

A meter's own buffer is the first journal. Reading goes on from here, so that any outage heals; the
mark moves in the same transaction as the batch that holds the rows (see `outbox`).
"""

import sqlite3
from collections.abc import Mapping

from hesper_gateway.database import Database

Marks = Mapping[tuple[str, bytes], int]
"""(meter, logical name of the profile) → `captured_at` of its newest stored row, epoch s."""


class Progress:
    """The marks of all meters, kept in memory and in the database."""

    def __init__(self, database: Database) -> None:
        rows = database.read(
            lambda connection: connection.execute(
                "SELECT meter, profile, captured_at FROM progress"
            ).fetchall()
        )
        self._marks = {(meter, profile): captured_at for meter, profile, captured_at in rows}

    def last_capture(self, meter: str, profile: bytes) -> int | None:
        """Returns the `captured_at` (epoch s) of the newest stored row; None before the first."""
        return self._marks.get((meter, profile))

    def moved(self, marks: Marks) -> None:
        """Takes over marks that `store` has made durable."""
        self._marks.update(marks)


def store(connection: sqlite3.Connection, marks: Marks) -> None:
    """Writes marks within the caller's transaction.

    The newest word counts, also backwards: a meter whose clock was in the future must not be
    skipped until then.
    """
    connection.executemany(
        "INSERT INTO progress VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET captured_at = excluded.captured_at",
        [(meter, profile, captured_at) for (meter, profile), captured_at in marks.items()],
    )
