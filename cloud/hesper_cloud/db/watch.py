"""Notices that another process has committed, in microseconds and without a query."""

import sqlite3

from sqlalchemy import make_url


class Watch:
    """Says whether a database changed; of one that cannot tell it says yes every time."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            address = f"file:{parsed.database}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None)

    @property
    def tells(self) -> bool:
        """Whether this database can tell; of one that cannot, ask more seldom."""
        return self._connection is not None

    def changed(self) -> bool:
        """Returns True when another connection may have committed since the last call."""
        if self._connection is None:
            return True
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, int(version)
        return before != self._version

    def close(self) -> None:
        """Releases the connection."""
        if self._connection is not None:
            self._connection.close()
