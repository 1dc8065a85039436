"""Backups of a head end whose data are on PostgreSQL and InfluxDB, on real servers."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import audit, provision
from hesper_cloud.backup import BackupError, make, restore
from hesper_cloud.backup.keeping import rehearse
from hesper_cloud.backup.postgres import PostgresDatabase
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.job_settings import BackupSettings
from hesper_cloud.settings import (
    DatabaseSettings,
    InfluxSettings,
    RetentionSettings,
    Settings,
    StoreSettings,
)
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.copying import content_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.opening import open_store
from hesper_cloud.stores.port import LATEST, Group, ReadingStore, StartAgain
from hesper_contracts import columns
from hesper_contracts.batch import BatchId
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_lab import system
from sqlalchemy import create_engine, inspect, make_url, select, text

pytestmark = pytest.mark.integration
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
T0 = int(NOW.timestamp()) - 2 * 86_400
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
ODD_TEXT = "Zoë's\tstreet\n\\N \u2028 12"
Databases = Callable[[], str]


@pytest.fixture
def on_postgres(
    postgres_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A head end on PostgreSQL, with an account, an audit chain, a gateway and a meter."""
    found = system.find("postgres")
    programs = found and found.path.resolve().parent  # of the server's own version
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip("pg_dump is not installed")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    urls = DatabaseSettings(url=postgres_database(), authority_url=postgres_database())
    settings = Settings(state=tmp_path / "state", database=urls)
    provision.initialise(settings, "default")
    databases = provision.Databases.open(settings)
    provision.add_gateway(databases, "gw-1", "ab" * 32)
    with writing(databases.registry) as session:
        session.add(Meter(id="M1", gateway_id="gw-1", first_seen_at=NOW, address=ODD_TEXT))
    databases.close()
    return settings


def empty_beside(settings: Settings, postgres_database: Databases, state: Path) -> Settings:
    urls = DatabaseSettings(url=postgres_database(), authority_url=postgres_database())
    return settings.model_copy(update={"database": urls, "state": state})


@pytest.fixture
def backup(on_postgres: Settings, tmp_path: Path) -> Path:
    with closing(DuckDbStore(on_postgres.readings_file)) as store:
        return make(on_postgres, store, tmp_path / "backups", NOW)[0]


def test_postgresql_comes_back_row_by_row(
    on_postgres: Settings, postgres_database: Databases, backup: Path, tmp_path: Path
) -> None:
    assert rehearse(backup, on_postgres) == "restored"
    assert "--config" in rehearse(backup)
    server = create_engine(on_postgres.database.url)
    with server.connect() as connection:
        names = connection.execute(text("SELECT datname FROM pg_database")).scalars().all()
    server.dispose()
    assert not [name for name in names if name.startswith("hesper_rehearsal")]
    new = empty_beside(on_postgres, postgres_database, tmp_path / "new")
    manifest = restore(backup, new).manifest
    assert manifest.elsewhere == {}
    assert manifest.contents["registry"]["meters"]["rows"] == 1
    registry, authority = open_engine(new.database.url), open_engine(new.database.authority_url)
    with reading(registry) as session:
        assert session.get_one(Meter, "M1").address == ODD_TEXT
        assert session.scalars(select(Gateway.id)).all() == ["gw-1"]
    with writing(registry) as session:
        session.add(Meter(id="M2", gateway_id="gw-1", first_seen_at=NOW))
    with reading(authority) as session:
        assert audit.verify(session).intact
    registry.dispose()
    authority.dispose()
    with pytest.raises(BackupError, match="empty"):
        restore(backup, new.model_copy(update={"state": tmp_path / "newer"}))


def test_what_a_killed_rehearsal_left_is_dropped_before_the_next(
    postgres_database: Databases,
) -> None:
    url, other = postgres_database(), postgres_database()
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with PostgresDatabase(url).scratch() as left:
        name = make_url(left).database
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))

        def names() -> set[str]:
            query = text("SELECT datname FROM pg_database WHERE datname LIKE 'hesper_rehearsal%'")
            return set(connection.execute(query).scalars())

        with PostgresDatabase(other).scratch():
            assert name in names(), "that of another database is left alone"
        with PostgresDatabase(url).scratch():
            assert name not in names()
    server.dispose()


def test_what_is_written_meanwhile_is_in_the_dump_and_its_digests_or_in_neither(
    on_postgres: Settings, postgres_database: Databases, tmp_path: Path
) -> None:
    """The dump sees the snapshot of the transaction that counts, whatever is committed after."""
    database = PostgresDatabase(on_postgres.database.url)
    ran: list[str] = []
    original = database._run

    def run(program: str, *arguments: str) -> None:
        engine = open_engine(on_postgres.database.url)
        with writing(engine) as session:
            session.add(Meter(id="M9", gateway_id="gw-1", first_seen_at=NOW))
        engine.dispose()
        ran.append(program)
        original(program, *arguments)

    database._run = run  # type: ignore[method-assign]
    parts = database.copy(tmp_path / "registry.dump")
    assert (ran, parts["meters"]["rows"]) == (["pg_dump"], 1)
    again = PostgresDatabase(postgres_database())
    assert again.restore(tmp_path / "registry.dump") == parts


def test_a_restore_that_fails_leaves_empty_databases(
    on_postgres: Settings, postgres_database: Databases, backup: Path, tmp_path: Path
) -> None:
    new = empty_beside(on_postgres, postgres_database, tmp_path / "new")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "restored.json").mkdir()  # the last step fails
    with pytest.raises(BackupError, match="not restored"):
        restore(backup, new)
    for url in (new.database.url, new.database.authority_url):
        engine = create_engine(url)
        assert inspect(engine).get_table_names() == []
        engine.dispose()


def test_the_missing_program_is_named(
    on_postgres: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        closing(DuckDbStore(on_postgres.readings_file)) as store,
        pytest.raises(BackupError, match="pg_dump is not on this machine"),
    ):
        make(on_postgres, store, tmp_path / "backups", NOW)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_server_that_is_gone_is_told_without_the_password(free_port: int, tmp_path: Path) -> None:
    url = f"postgresql+psycopg://hesper:open-sesame@127.0.0.1:{free_port}/hesper"
    with pytest.raises(BackupError, match="connection") as told:
        PostgresDatabase(url).copy(tmp_path / "registry.dump")
    assert "open-sesame" not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_the_programs_get_the_password_by_their_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pg_restore"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD has $*" >&2\nexit 1\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    url = "postgresql+psycopg://hesper:open-sesame@127.0.0.1:1/hesper?sslmode=require"
    with pytest.raises(BackupError, match="open-sesame has") as told:
        PostgresDatabase(url).restore(tmp_path / "registry.dump")
    arguments = str(told.value).partition("open-sesame has")[2]
    assert "postgresql://hesper@127.0.0.1:1/hesper?sslmode=require" in arguments
    assert "open-sesame" not in arguments


def test_a_backup_goes_back_into_the_kind_of_database_that_it_is_of(
    backup: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="for SQLite"):
        restore(backup, Settings(state=tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_dump_of_a_newer_schema_is_refused_before_anything_is_made(
    on_postgres: Settings, postgres_database: Databases, tmp_path: Path
) -> None:
    server = create_engine(on_postgres.database.url)
    with server.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    server.dispose()
    with closing(DuckDbStore(on_postgres.readings_file)) as store:
        folder, _ = make(on_postgres, store, tmp_path / "backups", NOW)
    new = empty_beside(on_postgres, postgres_database, tmp_path / "new")
    with pytest.raises(BackupError, match="registry's schema is 9999, this version knows none"):
        restore(folder, new)
    server = create_engine(new.database.authority_url)
    assert inspect(server).get_table_names() == []
    server.dispose()


def group(number: int, value: int = 0, count: int = 100) -> Group:
    at = [T0 + 900 * (number * 100 + n) for n in range(count)]
    none = [0] * count
    rows = [MeterRows(f"M{m}", at, none, none, [[value + m] * count]) for m in range(3)]
    block = block_of(columns.from_sections([Section(LOAD_PROFILE, at[-1], (ENERGY,), rows)])[0])
    return Group({BatchId("gw-1", "ab" * 8, number): f"{number:064x}"}, [block], at[-1] * 1000)


@pytest.fixture
def on_influx(head_end: Any, influx_url: str) -> Callable[..., Settings]:
    """Settings with an empty InfluxDB database of their own."""

    def make_settings(keep_days: int = 0) -> Settings:
        influx = InfluxSettings(url=influx_url, database=f"backup-{uuid.uuid4().hex[:8]}")
        kept = RetentionSettings(raw_days=keep_days)
        store = StoreSettings(kind="influx", influx=influx, retention=kept)
        return Settings.model_validate(head_end.settings.model_copy(update={"store": store}))

    return make_settings


@pytest.fixture
def filled(on_influx: Callable[..., Settings]) -> Iterator[tuple[Settings, ReadingStore]]:
    """Readings with a conflicting version, on InfluxDB."""
    settings = on_influx()
    with closing(open_store(settings)) as store:
        for number in range(3):
            store.write(group(number))
        store.write(group(0, value=7, count=2))
        yield settings, store


def moved(settings: Settings, state: Path) -> Settings:
    return settings.model_copy(update={"state": state, "database": Settings(state=state).database})


def test_readings_of_influxdb_come_back_into_either_store(
    filled: tuple[Settings, ReadingStore], on_influx: Callable[..., Settings], tmp_path: Path
) -> None:
    settings, store = filled
    folder, manifest = make(settings, store, tmp_path / "backups", NOW)
    assert (manifest.elsewhere, sorted(path.name for path in folder.iterdir())) == (
        {},
        ["authority.db", "manifest.json", "readings", "registry.db"],
    )
    assert rehearse(folder) == "restored"
    held = content_of(store, 0, LATEST)
    assert (held.readings, held.revisions) == (906, 6)
    cursor = store.changes("", 10).cursor
    embedded = Settings(state=tmp_path / "embedded")
    new, short = (moved(on_influx(days), tmp_path / f"new-{days}") for days in (0, 30))
    restore(folder, short)
    with closing(open_store(short)) as again:
        assert again.extent() is None, "older than it is kept there"
    for target in (embedded, new):
        restore(folder, target)
        with closing(open_store(target)) as again:
            assert content_of(again, 0, LATEST) == held
            assert again.write(group(1)).new == 0, "sent again it is found equal"
            assert again.write(group(5)).new == 300
            with pytest.raises(StartAgain) as told:
                again.changes(cursor, 10)
            assert told.value.cursor == ""
    assert not (new.state / "between").exists()
    shutil.rmtree(new.state)
    with pytest.raises(BackupError, match="is not empty"):
        restore(folder, new)


def test_readings_of_a_large_influxdb_may_be_left_to_its_own_tools(
    filled: tuple[Settings, ReadingStore], tmp_path: Path
) -> None:
    settings, store = filled
    chosen = settings.model_copy(update={"backup": BackupSettings(influx_readings=False)})
    folder, manifest = make(chosen, store, tmp_path / "backups", NOW)
    assert "influxd backup" in manifest.elsewhere["readings"]
    assert not (folder / "readings").exists()
