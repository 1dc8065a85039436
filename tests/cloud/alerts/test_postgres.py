"""The same on PostgreSQL: storms, children, shelves, floods, priorities, and what is delivered."""

from datetime import timedelta

import pytest
from hesper_cloud.alert_settings import DeliverySettings
from hesper_cloud.alerting import rates
from hesper_cloud.db import migrate
from hesper_cloud.db.delivery import Delivery, DeliveryRoute, DeliveryTarget
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, Element, ElementMeter, Gateway, Meter
from hesper_cloud.delivery.assembling import assembled
from hesper_cloud.delivery.routes import RoutePolicy
from hesper_cloud.delivery.routing import Router
from hesper_cloud.rules.alerts import Subject, Telling
from sqlalchemy import select, update

pytestmark = pytest.mark.integration
HOMES = [f"P{n:02}" for n in range(20)]
DOWN = Subject("gateway-offline", gateway="gw-1")


@pytest.fixture
def engine(postgres_database):
    made = open_engine(postgres_database())
    migrate.upgrade(made, "registry")
    yield made
    made.dispose()


@pytest.fixture
def hamlet(engine, town_class):
    """Twenty homes on one feeder."""
    made = town_class(engine)
    with writing(engine) as session:
        session.add(Gateway(id="gw-1", state="online", attributes={}))
        session.add(Element(id="F", kind="feeder", name="North"))
        session.flush()
        for home in HOMES:
            session.add(Meter(id=home, gateway_id="gw-1", area="Hamlet", first_seen_at=made.now))
            since = made.now - timedelta(days=1)
            session.add(ElementMeter(element="F", meter=home, from_at=since, role="customer"))
    return made


def silent(hamlet) -> list[Telling]:
    subjects = [Subject("silent-meter", meter=home) for home in HOMES]
    return [Telling(each, "warning", "Silent.", hamlet.now, symptom=True) for each in subjects]


def test_a_storm_its_children_a_shelf_and_the_outbox(hamlet, engine):
    with writing(engine) as session:
        target = DeliveryTarget(
            name="ops", kind="mqtt", config={"kind": "mqtt"}, made_by="cleo", failures=0,
            version=1, changed_at=hamlet.now,
        )  # fmt: skip
        session.add(target)
        session.flush()
        policy = RoutePolicy().model_dump(mode="json")
        session.add(
            DeliveryRoute(
                name="all", target_id=target.id, policy=policy, version=1, changed_at=hamlet.now
            )
        )
    works = lambda _: lambda _: False  # noqa: E731 - nobody works
    router = Router(engine, DeliverySettings(), hamlet.clock, works)
    router.turn()
    hamlet.alerts.raise_all(silent(hamlet))
    hamlet.later(1)
    (storm,) = hamlet.found()
    assert (storm.element, storm.affected_count, storm.area) == ("F", 20, "Hamlet")
    hamlet.later(10)
    router.turn()
    with reading(engine) as session:
        (sent,) = session.scalars(select(Delivery)).all()
        told = assembled(session, sent.id)
        assert [entry.text for entry in told.entries] == [storm.text]
        assert rates.recent(session, hamlet.now) == [("storm/silent-meter", 1)]
        assert sum(rates.by_window(session, hamlet.now, 6)) == 1
    until = hamlet.now + timedelta(minutes=1)
    with writing(engine) as session:
        away = {"state": "shelved", "shelved_until": until}
        session.execute(update(Alert).where(Alert.id == storm.id).values(away))
    hamlet.later(61)
    assert [(each.id, each.state) for each in hamlet.found()] == [(storm.id, "new")]
    over = [(each.subject, hamlet.now) for each in silent(hamlet)[:18]]
    hamlet.alerts.clear_all(over)
    hamlet.later(0)
    hamlet.later(hamlet.settings.surface_after_s)
    assert [(each.meter, each.group_key) for each in hamlet.found()] == [
        (home, "rule/silent-meter") for home in HOMES[18:]
    ]
    hamlet.alerts.raise_(DOWN, "critical", "Offline.")
    hamlet.later(4 * 3600)
    assert [(each.rule, each.priority) for each in hamlet.found()] == [("gateway-offline", 758)]
    hamlet.now += timedelta(days=500)
    hamlet.keeping.forget()
