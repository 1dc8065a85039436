"""The values of a column by its index are those that reading all rows finds; silence counts so."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.db.values import values_of
from hesper_cloud.rules.silence import unheard
from hesper_cloud.services.presence import is_online, online_clause
from hesper_cloud.settings import RuleSettings
from sqlalchemy import Engine, delete, select, text
from tables import make_tables

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path: Path = tmp_path_factory.mktemp("values") / "hesper.db"
    engine = open_engine(f"sqlite:///{path}")
    make_tables(engine)
    yield engine
    engine.dispose()


def enter(engine: Engine, periods: Sequence[int | None], heard: datetime | None = NOW) -> None:
    with writing(engine) as session:
        session.execute(delete(Meter))
        session.add_all(
            Meter(id=f"M{number}", first_seen_at=NOW, last_contact_at=heard, capture_period_s=each)
            for number, each in enumerate(periods)
        )


@pytest.mark.parametrize(
    "periods",
    [(), (None,), (900, 900), (None, 3600, 900, 3600), tuple(range(1, 80)), (None, *range(1, 80))],
    ids=["no rows", "none", "one", "some", "many", "many and none"],
)
def test_values_are_those_of_the_rows(engine: Engine, periods: Sequence[int | None]) -> None:
    enter(engine, periods)
    with reading(engine) as session:
        found = values_of(session, Meter.capture_period_s)
    assert len(found) == len(set(found))
    assert set(found) == set(periods)


@pytest.mark.parametrize("hours", [None, 0, 2, 20, 100])
def test_whoever_is_not_online_is_unheard(engine: Engine, hours: int | None) -> None:
    enter(
        engine, (None, 900, 3600, 86_400), None if hours is None else NOW - timedelta(hours=hours)
    )
    with reading(engine) as session:
        online = session.scalars(
            select(Meter.id).where(online_clause(session, RuleSettings(), NOW))
        ).all()
        silent = session.scalars(select(Meter.id).where(unheard(session, RuleSettings(), NOW)))
        assert sorted([*online, *silent]) == ["M0", "M1", "M2", "M3"]
        meters = session.scalars(select(Meter).order_by(Meter.id))
        assert sorted(online) == [
            each.id for each in meters if is_online(each, RuleSettings(), NOW)
        ]


def test_who_is_silent_and_what_is_listed_is_read_from_indexes_alone(engine: Engine) -> None:
    listed = "life IN ('installed', 'commissioned') AND deleted_at IS NULL"
    page = f"SELECT id FROM meters WHERE {listed} ORDER BY {{}} NULLS LAST, id LIMIT 9 OFFSET 9"
    late = "capture_period_s IS 900 AND last_contact_at < 5"
    silent = f"SELECT count(*) FROM meters WHERE {listed} AND {late}"
    orders = ("customer", "address", "area", "gateway_id", "relay_output", "last_contact_at")
    with engine.connect() as connection:
        for query in (silent, *(page.format(order) for order in orders)):
            plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
            assert [" USING COVERING INDEX " in step for step in plan] == [True], plan
