"""Where relays stood before a tunnel was opened, kept for a restart that ends it.

What was kept of a command goes when that is no longer executing, with the next tunnel.
"""

import sqlite3
from collections.abc import Mapping
from datetime import datetime

from hesper_gateway.database import Database, StorageFull
from hesper_gateway.errors import Hop, MeterFailed
from hesper_gateway.sessions import RelayState

_TABLE = """
CREATE TABLE IF NOT EXISTS tunnel_relays (
    command_id TEXT NOT NULL, meter TEXT NOT NULL, output INTEGER NOT NULL,
    control INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (command_id, meter)) WITHOUT ROWID
"""
_FORGET = (
    "DELETE FROM tunnel_relays WHERE command_id NOT IN "
    "(SELECT command_id FROM commands WHERE state = 'executing')"
)


class TunnelRecords:
    """The records of all tunnels.

    Args:
        database: Where they are kept; their own table is made when it is absent.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.submit(_make_table).result()

    async def keep(self, command_id: str, relays: Mapping[str, RelayState | None]) -> None:
        """Write down where relays stand, by meter id; durable on return.

        Raises:
            MeterFailed: there is no room; the tunnel must not be opened.
        """
        rows = [
            (command_id, meter, relay.output, relay.control, relay.at.isoformat())
            for meter, relay in relays.items()
            if relay is not None
        ]

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(_FORGET)
            connection.executemany(
                "INSERT OR REPLACE INTO tunnel_relays VALUES (?, ?, ?, ?, ?)", rows
            )

        try:
            await self._database.write(job)
        except StorageFull as full:
            raise MeterFailed(f"where relays stand cannot be kept: {full}", Hop.GATEWAY) from full

    def of(self, command_id: str) -> Mapping[str, RelayState]:
        """Return where relays stood before a command's tunnel; nothing if none was opened."""
        rows = self._database.read(
            lambda connection: connection.execute(
                "SELECT meter, output, control, at FROM tunnel_relays WHERE command_id = ?",
                (command_id,),
            ).fetchall()
        )
        return {
            meter: RelayState(bool(output), control, datetime.fromisoformat(at))
            for meter, output, control, at in rows
        }


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)
