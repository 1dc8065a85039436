"""Meters of before know their lives, areas become areas, and all lives through back and forward."""

from pathlib import Path

import pytest
from alembic import command
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine
from sqlalchemy import Engine, inspect, text


def go(engine: Engine, revision: str, *, back: bool = False) -> None:
    with engine.begin() as connection:
        config = migrate.history("registry", connection)
        (command.downgrade if back else command.upgrade)(config, revision)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, tmp_path: Path):
    if request.param == "sqlite":
        made = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    else:
        made = open_engine(request.getfixturevalue("postgres_database")())
    yield made
    made.dispose()


def test_what_was_there_is_there(engine: Engine) -> None:
    go(engine, "0006")
    meter = "INSERT INTO meters (id, state, life_support, first_seen_at, area) VALUES "
    at = "1" if engine.dialect.name == "sqlite" else "now()"
    with engine.begin() as connection:
        for values in (
            "'A', 'commissioned', {no}, {at}, 'north'",
            "'B', 'discovered', {no}, {at}, ''",
        ):
            connection.execute(text(f"{meter}({values.format(no='false', at=at)})"))
    for _ in range(2):
        go(engine, "head")
        with engine.connect() as connection:
            lives = connection.execute(text("SELECT id, life, version FROM meters ORDER BY id"))
            assert [tuple(row) for row in lives] == [
                ("A", "commissioned", 1),
                ("B", "installed", 1),
            ]
            assert connection.scalars(text("SELECT name FROM areas")).all() == ["north"]
        go(engine, "0006", back=True)
        assert "customers" not in inspect(engine).get_table_names()
        assert "life" not in {each["name"] for each in inspect(engine).get_columns("meters")}
