"""The tables of a new database, as the migrations make them."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine
from sqlalchemy import Engine


def make_tables(engine: Engine, database: migrate.Database = "registry") -> None:
    """Brings a database's tables; those of a new SQLite file are made once and copied."""
    if engine.dialect.name == "sqlite":
        path = Path((engine.url.database or "").removeprefix("file:"))
        if not path.exists():
            path.write_bytes(_new_file(database))
    migrate.upgrade(engine, database)


@cache
def _new_file(database: migrate.Database) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        engine = open_engine(f"sqlite:///{path}")
        migrate.upgrade(engine, database)
        engine.dispose()  # the last connection that closes brings the log into the file
        return path.read_bytes()
