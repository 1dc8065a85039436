"""Brings a database to the schema that this version of Hesper needs.

Alembic takes a good part of a second to load, so a database that is there already is left without:
its revision is compared with the newest one, by which the files of a history are numbered.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine, inspect, text

if TYPE_CHECKING:
    from alembic.config import Config

Database = Literal["registry", "authority"]
_HISTORIES = Path(__file__).resolve().parent.parent / "migrations"


def upgrade(engine: Engine, database: Database) -> None:
    """Applies every migration that ``engine`` has not seen; safe to repeat."""
    if _revision(engine) == _newest(database):
        return
    from alembic import command

    with engine.begin() as connection:
        command.upgrade(history(database, connection), "head")


def _revision(engine: Engine) -> str | None:
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _newest(database: Database) -> str:
    files = (_HISTORIES / database / "versions").glob("[0-9]*.py")
    return max(file.name for file in files).partition("_")[0]


def history(database: Database, connection: object) -> "Config":
    """Returns Alembic's configuration for one database on one open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_HISTORIES / database))
    config.attributes["connection"] = connection
    return config
