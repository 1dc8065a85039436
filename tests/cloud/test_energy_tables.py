"""Migration 0003 goes forward and back, and what was there before stays."""

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from hesper_cloud.db import migrate
from hesper_cloud.db.energy import DirtyDay
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Meter
from sqlalchemy import inspect, select

NOW = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_forward_back_and_forward_again(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'test.db'}")
    migrate.upgrade(engine, "registry")
    with writing(engine) as session:
        session.add(Meter(id="M1", first_seen_at=NOW))
        session.add(DirtyDay(meter="M1", day=20_541, marked_at=NOW))
    with engine.begin() as connection:
        command.downgrade(migrate.history("registry", connection), "0002")
    assert "substitutes" not in inspect(engine).get_table_names()
    migrate.upgrade(engine, "registry")
    with reading(engine) as session:
        assert session.scalars(select(Meter.id)).all() == ["M1"]
        assert session.scalars(select(DirtyDay)).all() == []
    engine.dispose()
