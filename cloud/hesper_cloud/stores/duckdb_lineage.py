"""The epochs of the embedded store, in a table of its file."""

import duckdb

from hesper_cloud.stores.lineage import Epoch, Lineage, born, restored

TABLE = "lineage"
_EPOCHS = "SELECT epoch, until FROM lineage ORDER BY until NULLS LAST"
_BEYOND_ALL_METERS = 2**31 - 1


def learn(connection: duckdb.DuckDBPyConnection) -> Lineage:
    """Returns the epochs; a store that has none is given its first."""
    epochs = _listed(connection)
    if not epochs:
        epochs = [born()]
        _add(connection, epochs)
    return Lineage(epochs, lambda commit: f"{commit}.{_BEYOND_ALL_METERS}.0.0.0.0")


def begin_anew(connection: duckdb.DuckDBPyConnection, newest: int) -> None:
    """Begins an epoch after the commit ``newest``, in a store that was built from a backup."""
    epochs = restored(_listed(connection) or [born()], newest)
    connection.execute("DELETE FROM lineage")
    _add(connection, epochs)


def _listed(connection: duckdb.DuckDBPyConnection) -> list[Epoch]:
    return [Epoch(*row) for row in connection.execute(_EPOCHS).fetchall()]


def _add(connection: duckdb.DuckDBPyConnection, epochs: list[Epoch]) -> None:
    for epoch in epochs:
        connection.execute("INSERT INTO lineage VALUES (?, ?)", epoch)
