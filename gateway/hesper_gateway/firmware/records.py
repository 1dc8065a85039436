"""What this gateway knows of the image at each meter: which one, and how far it brought it.

A meter tells how far an image is (class 18) and not which one, until it is verified. So the gateway
writes down which image it begins with before it does, and carries on at the meter only with what it
began itself. Each step is durable before the next one is taken.
"""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from hesper_contracts import jsonbody
from hesper_contracts.firmware import TransferFirmware
from hesper_contracts.frame import Refused

from hesper_gateway.database import Database

_TABLE = """
CREATE TABLE IF NOT EXISTS image_transfers (
    meter TEXT PRIMARY KEY, image_hash TEXT NOT NULL, image BLOB NOT NULL, step TEXT NOT NULL)
    WITHOUT ROWID
"""


class Step(StrEnum):
    """How far this gateway has come with an image; the words are stored."""

    BEGINNING = "beginning"
    """The meter is told of the image; whether it knows it by now is not known."""
    SENDING = "sending"
    """The meter has begun with this image; blocks are sent."""
    VERIFYING = "verifying"
    """The meter has all blocks and is asked to verify them."""
    VERIFIED = "verified"
    """The meter shows this image as ready to activate."""
    ACTIVATING = "activating"
    """The meter is asked to activate it; whether it does is not known."""
    ACTIVATED = "activated"
    """The meter runs it."""
    REFUSED = "refused"
    """The meter does not accept it: a next transfer begins anew."""


@dataclass(frozen=True, slots=True)
class Record:
    """One meter's image: its SHA-256, what was signed of it, how far it is."""

    image_hash: str
    image: TransferFirmware
    step: Step


class TransferRecords:
    """The records of all meters.

    Args:
        database: Where they are kept; their own table is made when it is absent.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.submit(_make_table).result()

    def find(self, meter: str, image_hash: str) -> Record | None:
        """Return the record of a meter if it is about this image, and of a release like ours."""
        row = self._database.read(
            lambda connection: connection.execute(
                "SELECT image, step FROM image_transfers WHERE meter = ? AND image_hash = ?",
                (meter, image_hash),
            ).fetchone()
        )
        if row is None:
            return None
        try:
            return Record(image_hash, jsonbody.decode(row[0], TransferFirmware), Step(row[1]))
        except (Refused, ValueError):
            return None

    async def put(self, meter: str, record: Record) -> None:
        """Write down what is known of a meter from now on; durable on return.

        Raises:
            StorageFull: the disk is full, nothing was written.
        """
        row = (meter, record.image_hash, jsonbody.encode(record.image), record.step)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO image_transfers VALUES (?, ?, ?, ?)", row)

        await self._database.write(job)


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)
