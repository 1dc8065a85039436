"""Migration 0003 of the authority: findings, and calendars by two in policies of before."""

from pathlib import Path

from alembic import command
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db import migrate
from hesper_cloud.db.authority import AuthorityBase, PolicyRow
from hesper_cloud.db.engines import open_engine, reading, writing
from sqlalchemy import Engine, inspect, select


def go(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        config = migrate.history("authority", connection)
        (command.downgrade if revision == "0002" else command.upgrade)(config, revision)


def four_eyes(engine: Engine) -> dict[str, list[str] | None]:
    with reading(engine) as session:
        rows = session.scalars(select(PolicyRow)).all()
        return {row.name: row.document.get("four_eyes") for row in rows}


def test_a_policy_of_before_asks_for_two_people_for_calendars(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'authority.db'}")
    migrate.upgrade(engine, "authority")
    go(engine, "0002")
    columns = {each["name"] for each in inspect(engine).get_columns("commands")}
    assert "findings" not in columns
    old = {"kept": ["relay.disconnect"], "none": [], "silent": None}
    with writing(engine) as session:
        for name, kinds in old.items():
            document = {} if kinds is None else {"four_eyes": kinds}
            session.add(PolicyRow(name=name, document=document, active=False))
    go(engine, "head")
    new = four_eyes(engine)
    both = ["relay.disconnect", "tariff.calendar"]
    assert new == {"kept": both, "none": ["tariff.calendar"], "silent": None}
    assert Policy().four_eyes == set(both)
    migrate.upgrade(engine, "authority")
    tables = AuthorityBase.metadata.tables["commands"].columns
    assert {each["name"] for each in inspect(engine).get_columns("commands")} == set(tables.keys())
    go(engine, "0002")
    assert four_eyes(engine) == old
    engine.dispose()
