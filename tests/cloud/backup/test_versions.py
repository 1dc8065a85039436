"""A backup of another version of Hesper: an older one comes back, a newer one is refused."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from backed_up import NOW, everything, restored_into
from hesper_cloud.backup import BackupError, make, restore
from hesper_cloud.backup.keeping import rehearse
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.db.registry import Gateway
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import select

OLDER: dict[migrate.Database, str] = {"registry": "0005", "authority": "0007"}


def test_a_backup_of_an_older_schema_comes_back_and_is_migrated_at_the_start(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    urls: dict[migrate.Database, str] = {
        "registry": head_end.settings.database.url,
        "authority": head_end.settings.database.authority_url,
    }
    with reading(head_end.databases.registry) as session:
        gateways = set(session.scalars(select(Gateway.id)))
    head_end.databases.close()
    for part, url in urls.items():
        engine = open_engine(url)
        migrate.go_back(engine, part, OLDER[part])
        engine.dispose()
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    settings = restored_into(folder, tmp_path / "new")
    databases = Databases.open(settings)
    with reading(databases.registry) as session:
        assert set(session.scalars(select(Gateway.id))) == gateways != set()
    databases.close()
    with closing(DuckDbStore(settings.readings_file)) as again:
        assert everything(again) == everything(store)


@pytest.mark.parametrize(("part", "file"), [("registry", "hesper"), ("authority", "authority")])
def test_a_backup_of_a_newer_schema_is_refused_before_anything_is_made(
    head_end: Any, store: DuckDbStore, tmp_path: Path, part: str, file: str
) -> None:
    with closing(sqlite3.connect(head_end.settings.state / f"{file}.db")) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    new = tmp_path / "new"
    with pytest.raises(BackupError, match=f"newer version of Hesper: its {part}'s schema is 9999"):
        restore(folder, Settings(state=new))
    assert not new.exists()
    assert "newer version" in rehearse(folder), "who rehearses hears of it as well"
