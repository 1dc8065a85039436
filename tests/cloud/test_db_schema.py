"""The migrations and the models say the same, and the engines keep their promises."""

import logging
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hesper_cloud.db import authority, engines, migrate, registry
from hesper_cloud.db.engines import open_engine, reading, writing
from migrating import upgrade_both
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

NOW = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)


def engine_in(folder: Path, *, read_only: bool = False) -> Engine:
    return open_engine(f"sqlite:///{folder / 'test.db'}", read_only=read_only)


@pytest.mark.parametrize(
    ("database", "metadata"),
    [
        ("registry", registry.RegistryBase.metadata),
        ("authority", authority.AuthorityBase.metadata),
    ],
)
def test_migrations_build_what_the_models_say(tmp_path, database, metadata):
    engine = engine_in(tmp_path)
    migrate.upgrade(engine, database)
    migrate.upgrade(engine, database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_of_two_that_migrate_at_once_one_waits_for_the_other(tmp_path):
    first, second = engine_in(tmp_path), engine_in(tmp_path)
    upgrade_both(first, second)
    assert migrate.revision_of(second) == migrate.newest("registry")


def test_who_comes_second_waits_however_long_the_first_changes_tables(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 10)
    second = engine_in(tmp_path)
    migrate.revision_of(second)
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as first:
        first.execute("BEGIN IMMEDIATE")
        told: list[str] = []

        class Ends(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                told.append(record.getMessage())
                if len(told) == 2:
                    first.execute("COMMIT")

        handler = Ends()
        logging.getLogger(migrate.__name__).addHandler(handler)
        try:
            migrate.upgrade(second, "registry")
        finally:
            logging.getLogger(migrate.__name__).removeHandler(handler)
    assert all("waiting until that is over" in each for each in told)
    assert migrate.revision_of(second) == migrate.newest("registry")


def test_of_two_that_make_one_file_at_once_one_waits_for_the_other(tmp_path, monkeypatch):
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as first:
        first.execute("BEGIN IMMEDIATE")
        first.execute("CREATE TABLE first (x)")
        waiting = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: first.execute("COMMIT"))
        monkeypatch.setattr(engines, "time", waiting)
        with engine_in(tmp_path).connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            connection.exec_driver_sql("SELECT x FROM first")


def test_a_file_that_stays_locked_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 20)
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as first:
        first.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="locked"), engine_in(tmp_path).connect():
            pass


def test_pragmas_are_set_on_every_connection(tmp_path):
    engine = engine_in(tmp_path)
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            found = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
            assert found == ["wal", 2, 1, 10_000]


def test_times_come_back_as_they_went_in(tmp_path):
    engine = engine_in(tmp_path)
    migrate.upgrade(engine, "registry")
    with writing(engine) as session:
        session.add(registry.Meter(id="HES1", first_seen_at=NOW))
    with reading(engine) as session:
        assert session.scalars(select(registry.Meter.first_seen_at)).one() == NOW
    with pytest.raises(Exception, match="without a zone"), writing(engine) as session:
        session.add(registry.Meter(id="HES2", first_seen_at=NOW.replace(tzinfo=None)))


def add_twice(engine: Engine) -> None:
    row = insert(registry.Meter).values(id="HES1", first_seen_at=NOW, life_support=False)
    with writing(engine) as session:
        session.execute(row)
        session.execute(row)


def test_a_failed_transaction_leaves_nothing(tmp_path):
    engine = engine_in(tmp_path)
    migrate.upgrade(engine, "registry")
    with pytest.raises(IntegrityError):
        add_twice(engine)
    with reading(engine) as session:
        assert session.scalars(select(registry.Meter)).all() == []


def test_a_read_only_engine_sees_but_does_not_write(tmp_path):
    writer = engine_in(tmp_path)
    migrate.upgrade(writer, "authority")
    reader = engine_in(tmp_path, read_only=True)
    with writing(writer) as session:
        session.add(authority.Cursor(name="results", position=3))
    with reading(reader) as session:
        assert session.scalars(select(authority.Cursor.position)).one() == 3
    with pytest.raises(OperationalError, match="readonly"), reader.begin() as connection:
        connection.execute(text("UPDATE cursors SET position = 4"))
