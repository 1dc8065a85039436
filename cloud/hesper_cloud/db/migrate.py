"""Brings a database to the schema that this version of Hesper needs."""

from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

Database = Literal["registry", "authority"]
_HISTORIES = Path(__file__).resolve().parent.parent / "migrations"


def upgrade(engine: Engine, database: Database) -> None:
    """Applies every migration that ``engine`` has not seen; safe to repeat."""
    with engine.begin() as connection:
        command.upgrade(history(database, connection), "head")


def history(database: Database, connection: object) -> Config:
    """Returns Alembic's configuration for one database on one open connection."""
    config = Config()
    config.set_main_option("script_location", str(_HISTORIES / database))
    config.attributes["connection"] = connection
    return config
