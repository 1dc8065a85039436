"""The same on PostgreSQL: readings, events, trials, leavers, and losses that end in bulk."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud.db import migrate, registry
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Meter, PowerLoss
from hesper_cloud.outages import losses
from hesper_contracts.events import Event
from sqlalchemy import Engine, select

pytestmark = pytest.mark.integration
HIGH = {"kind": "threshold", "logical_name": "1.0.32.7.0.255", "limit": "253"}


@pytest.fixture
def engine(postgres_database: Callable[[], str]) -> Iterator[Engine]:
    made = open_engine(postgres_database())
    migrate.upgrade(made, "registry")
    yield made
    made.dispose()


def test_rules_and_losses_on_postgres(world: Any, at: Any) -> None:
    world.meters("M1", "M2", area="north", life="commissioned")
    world.rule(HIGH, scope={"areas": ["north"]})
    world.rule(HIGH, state="trial", name="t")
    assert world.see(("M1", 0, 2600), ("M2", 0, 2600)) == ["M1 +0", "M2 +0"]
    assert world.see(("M1", 60, 2300)) == ["M1 +0 -60", "M2 +0"]
    assert world.trials() == ["M1 +0 -60", "M2 +0"]
    with writing(world.registry) as session:
        session.get_one(Meter, "M2").area = "south"
    assert world.round(90) == ["M1 +0 -60", "M2 +0 -90"]
    followed = losses.Losses(world.clock)
    with writing(world.registry) as session:
        for n, code in enumerate(("power.last_gasp", "power.up", "power.down")):
            told = Event(id=str(n), code=code, occurred_at=at(90), meter="M1")
            followed.event_stored(session, "gw-1", told)
        told = Event(id="9", code="power.down", occurred_at=at(90) + timedelta(days=9), meter="M2")
        followed.event_stored(session, "gw-1", told)
        losses.told_before(session, world.clock())
        read_at = int(at(600).timestamp())
        assert losses.read_again(session, {"M1": read_at, "M2": read_at}) == 1
    with reading(world.registry) as session:
        found = session.execute(select(PowerLoss.meter, PowerLoss.back_at).order_by("meter")).all()
        assert found == [("M1", at(90)), ("M2", at(600))]


def test_whose_an_event_is_stands_in_its_attributes_whatever_a_sender_puts_there(
    world: Any, at: Any
) -> None:
    same = {"meter": "M1", "gateway": "gw-1", "code": "a", "severity": "info", "text": ""}
    said = ["yes", None, True, 1.5, "no"]
    with writing(world.registry) as session:
        for n, value in enumerate(said):
            told = {"attributes": {"foreign_gateway": value}, "occurred_at": at(n)}
            session.add(registry.Event(id=str(n), stored_at=at(n), **same, **told))
        session.add(
            registry.Event(id="5", attributes={}, occurred_at=at(5), stored_at=at(5), **same)
        )
        session.flush()
        own = session.scalars(select(registry.Event.id).where(registry.Event.is_own()))
        assert sorted(own) == ["1", "2", "3", "4", "5"]
