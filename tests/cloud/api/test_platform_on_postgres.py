"""What all routes share, on a real PostgreSQL: races, and values that only it refuses."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hesper_cloud import paging
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.assets import keeping
from hesper_cloud.assets.errors import Outdated
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import CUSTOMER
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.paging import Asked
from hesper_cloud.services import asset_lists
from hesper_cloud.services.asset_records import AssetQuery
from hesper_cloud.services.idempotency import Idempotency, KeyInUse
from sqlalchemy import Engine, select
from sqlalchemy.exc import DataError

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ANN = Actor("ann", Role.OPERATOR)


@pytest.fixture
def registry(postgres_database) -> Iterator[Engine]:
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, "registry")
    yield engine
    engine.dispose()


def test_of_equal_requests_at_once_one_is_carried_out(registry) -> None:
    sources = SimpleNamespace(registry=registry, clock=lambda: NOON)
    answers = Idempotency(sources, b"secret")

    def claim(_: int) -> str:
        try:
            return str(answers.claim(ANN, "click", answers.digest(b"x")))
        except KeyInUse:
            return "come again"

    with ThreadPoolExecutor(8) as clicks:
        assert sorted(clicks.map(claim, range(8))) == ["None", *["come again"] * 7]


def test_of_changes_to_one_version_at_once_one_is_made(registry) -> None:
    with writing(registry) as session:
        values = {"account_number": "E-1", "name": "Ada"}
        key = keeping.create(session, CUSTOMER, values, By("ann", NOON)).id

    def rename(number: int) -> str:
        try:
            with writing(registry) as session:
                row = keeping.find(session, CUSTOMER, key, 1)
                keeping.change(session, CUSTOMER, row, {"name": f"Ada {number}"}, By("ann", NOON))
        except Outdated:
            return "stale"
        return "made"

    with ThreadPoolExecutor(6) as clerks:
        assert sorted(clerks.map(rename, range(6))) == ["made", *["stale"] * 5]


def test_values_that_it_refuses_are_told_as_such(registry) -> None:
    """`problems` answers this error with 400."""
    with reading(registry) as session, pytest.raises(DataError):
        session.scalars(select(Meter).where(Meter.id == "a\0b")).all()
    cursor = paging.sealed(Asked(sort="name"), "name", ("x", 2**40))
    asked = Asked(sort="name", cursor=cursor)
    with reading(registry) as session, pytest.raises(DataError):
        asset_lists.page(session, ANN, CUSTOMER, AssetQuery(), asked)
