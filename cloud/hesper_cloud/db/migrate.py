"""Brings a database to the schema that this version of Hesper needs.

Alembic takes a good part of a second to load, so a database that is there already is left without:
its revision is compared with the newest one, by which the files of a history are numbered.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import Transaction
from sqlalchemy.exc import OperationalError

from hesper_cloud.db.engines import connected_to_write, is_locked, take_write_lock

if TYPE_CHECKING:
    from alembic.config import Config

_log = logging.getLogger(__name__)

Database = Literal["registry", "authority"]
_KEEPERS = {"registry": "head end (`hesper-cloud run`)", "authority": "authority"}
_HISTORIES = Path(__file__).resolve().parent.parent / "migrations"


class BrokenReferences(Exception):
    """A migration would leave rows that refer to nothing; nothing of it was done."""


class OtherVersion(Exception):
    """A database is of another version of Hesper than this program; the text says what to do."""


def upgrade(engine: Engine, database: Database) -> None:
    """Applies every migration that ``engine`` has not seen; safe to repeat.

    Raises:
        OtherVersion: it has seen one that this version does not know.
    """
    if _is_newest(engine, database):
        return
    from alembic import command

    with changing(engine) as connection:
        command.upgrade(history(database, connection), "head")


def require(engine: Engine, database: Database) -> None:
    """Checks a database that another process brings up to date.

    Raises:
        OtherVersion: its schema is not the one that this version needs.
    """
    if not _is_newest(engine, database):
        raise OtherVersion(
            f"the {database}'s schema is {revision_of(engine)}, this version needs "
            f"{newest(database)}: stop what runs of the older version, run `hesper-cloud init` of "
            f"this one, then restart the {_KEEPERS[database]} with it, too"
        )


def _is_newest(engine: Engine, database: Database) -> bool:
    found = revision_of(engine)
    if found is not None and found not in revisions(database):
        raise OtherVersion(
            f"the {database}'s schema is {found}, this version knows none after "
            f"{newest(database)}: a newer version made it. Start that, or go back with it: "
            f"`hesper-cloud database back {database} {newest(database)}`"
        )
    return found == newest(database)


def go_back(engine: Engine, database: Database, revision: str) -> None:
    """Takes migrations back until ``revision`` is the newest, for an older version to run on.

    What only newer tables and columns hold is lost.
    """
    from alembic import command

    with changing(engine) as connection:
        command.downgrade(history(database, connection), revision)


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """Yields a connection in a transaction for changes of tables, one process after the other.

    Who comes second, at a start of several for example, waits however long that takes, and finds
    that all is done.

    SQLite changes a table by making it anew, and its rows must not be missed meanwhile by those
    that refer to them: so foreign keys are looked at once, at the end.
    """
    with connected_to_write(engine) as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                take_write_lock(connection)
                yield connection
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with _begun(connection):
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise BrokenReferences(f"rows of {broken[0]} would refer to nothing")
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def _begun(connection: Connection) -> Transaction:
    """Begins as soon as nobody else writes; SQLite itself waits no longer than its timeout."""
    while True:
        try:
            return connection.begin()
        except OperationalError as error:
            if not is_locked(error.orig):
                raise
            _log.warning(
                "%s is being written to, as by who changes its tables; waiting until that is over",
                connection.engine.url.database,
            )


def revision_of(engine: Engine) -> str | None:
    """Returns the newest migration that a database has seen; None before the first."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def newest(database: Database) -> str:
    """Returns the newest migration that this version has."""
    return revisions(database)[-1]


def revisions(database: Database) -> list[str]:
    """Returns all migrations of this version, oldest first."""
    files = (_HISTORIES / database / "versions").glob("[0-9]*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def history(database: Database, connection: object) -> "Config":
    """Returns Alembic's configuration for one database on one open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HISTORIES / database))
    config.attributes["connection"] = connection
    return config
