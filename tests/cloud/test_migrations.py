"""Every registry migration goes forward and back, and what is stored lives through both."""

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Erasure, Gap, RegistryBase
from sqlalchemy import Engine, inspect, select, text

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def go(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        config = migrate.history("registry", connection)
        (command.downgrade if revision == "0001" else command.upgrade)(config, revision)


def a_gap(state: str) -> Gap:
    return Gap(
        meter="M1", profile="1.0.99.1.0.255", from_at=NOON, to_at=NOON, expected_count=1,
        cause="line", state=state, noticed_at=NOON,
    )  # fmt: skip


def an_erasure(meter: str, to_at: datetime | None) -> Erasure:
    return Erasure(
        meter=meter, reason="moved out", to_at=to_at, forget_customer=False, audit_row=1,
        ordered_at=NOON, removed={},
    )  # fmt: skip


def test_gaps_live_through_the_way_back_and_forward(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    migrate.upgrade(engine, "registry")
    with writing(engine) as session:
        session.add_all(map(a_gap, ("open", "requested", "closed", "given_up")))
    go(engine, "0001")
    with engine.connect() as connection:
        states = connection.scalars(text("SELECT state FROM gaps ORDER BY id")).all()
    assert states == ["open", "open", "closed", "closed"]
    assert "meter_profiles" not in inspect(engine).get_table_names()
    go(engine, "head")
    with reading(engine) as session:
        assert [(gap.tries, gap.from_at) for gap in session.scalars(select(Gap))] == [(0, NOON)] * 4
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, RegistryBase.metadata) == []


def test_on_the_way_back_no_erasure_of_a_time_becomes_one_of_everything(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    migrate.upgrade(engine, "registry")
    with writing(engine) as session:
        session.add_all([an_erasure("ALL", None), an_erasure("FORMER TENANT", NOON)])
    migrate.go_back(engine, "registry", "0015")
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT meter FROM erasures")).all() == ["ALL"]
    migrate.upgrade(engine, "registry")
    with reading(engine) as session:
        (order,) = session.scalars(select(Erasure)).all()
    assert (order.meter, order.from_at, order.to_at) == ("ALL", None, None)
