"""A broker that is down, or the way to an area, is one alert and not five hundred."""

from datetime import timedelta

import pytest
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.delivery.messages import Entry, Message
from hesper_cloud.rules.alerts import Subject, Telling
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.settings import RuleSettings
from hesper_cloud.worded import restored
from hesper_ui import tongues
from hesper_ui.views.wording import retold
from hesper_ui.words import speaking
from sqlalchemy import insert, update

OFFLINE = "storm/gateway-offline"
MANY = 500


@pytest.fixture
def wide(town):
    """Five hundred gateways more, in ten areas, with two meters each."""
    names = [f"gw-{n:03}" for n in range(100, 100 + MANY)]
    with writing(town.engine) as session:
        areas = {name: f"Area {n % 10}" for n, name in enumerate(names)}
        rows = [{"id": g, "state": "online", "attributes": {}, "area": areas[g]} for g in names]
        session.execute(insert(Gateway), rows)
        same = {
            "first_seen_at": town.now,
            "last_contact_at": town.now,
            "capture_period_s": 900,
            "state": "commissioned",
            "life_support": False,
        }
        meters = [{"id": f"{g}-{n}", "gateway_id": g, **same} for g in names for n in range(2)]
        session.execute(insert(Meter), meters)
    town.areas = areas
    town.rule = SilenceRule(town.engine, town.alerts, RuleSettings(), town.clock)
    town.now += timedelta(seconds=60)  # gateways have had their time to come
    return town


def become(town, state: str, gateways) -> None:
    with writing(town.engine) as session:
        session.execute(update(Gateway).where(Gateway.id.in_(gateways)).values(state=state))
    for _ in range(2):
        town.rule.check()
    town.later(0)


def test_a_broker_that_is_down_is_one_alert_of_the_whole_fleet(wide):
    become(wide, "offline", ["gw-1", *wide.areas])
    (storm,) = wide.found()
    assert storm.rule == OFFLINE
    assert storm.severity == "critical"
    assert storm.area is None
    assert storm.text == (
        "All areas: 501 of 501 gateways, gateway offline, 5000 meters behind them."
    )
    with speaking(tongues.tongue("de")):
        assert retold(restored(storm.text, storm.said)) == (
            "Alle Gebiete: 501 von 501 Gateways, Gateway offline, 5.000 Zähler dahinter."
        )
    assert (storm.affected_count, storm.extent["gateways"]) == (5000, 501)
    assert storm.extent["parts"][0] == {"name": "area Area 0", "gateways": 50}
    assert len(wide.found(hidden=True)) == 501
    become(wide, "offline", [])
    assert [each.id for each in wide.found()] == [storm.id]
    become(wide, "online", ["gw-1", *wide.areas])
    assert wide.found() == []
    assert wide.found(hidden=True) == []


def test_an_area_without_its_backhaul_is_one_alert_and_its_last_gateways_come_up(wide):
    there = [name for name, area in wide.areas.items() if area == "Area 3"]
    become(wide, "offline", there)
    (storm,) = wide.found()
    assert storm.text == "Area Area 3: 50 of 50 gateways, gateway offline, 100 meters behind them."
    assert storm.area == "Area 3"
    become(wide, "online", there[:-2])
    assert wide.found() == []
    wide.later(wide.settings.surface_after_s)
    assert [each.gateway for each in wide.found()] == there[-2:]


def test_a_meter_still_gives_way_to_its_gateway_that_is_told_below_a_storm(wide):
    there = [name for name, area in wide.areas.items() if area == "Area 3"]
    become(wide, "offline", there)
    subject = Subject("silent-meter", meter=f"{there[0]}-0")
    wide.alerts.raise_all([Telling(subject, "warning", "silent", wide.now, symptom=True)])
    wide.later(1)
    assert [each.rule for each in wide.found()] == [OFFLINE]


def test_few_gateways_are_told_one_by_one(wide):
    become(wide, "offline", list(wide.areas)[:9])
    assert {each.rule for each in wide.found()} == {"gateway-offline"}
    assert len(wide.found()) == 9


def test_a_storm_of_gateways_is_told_with_its_areas(wide):
    become(wide, "offline", ["gw-1", *wide.areas])
    (storm,) = wide.found()
    entry = Entry(
        *(1, "raised", wide.now, storm.id, storm.rule, storm.severity, storm.state, storm.text),
        *(storm.raised_at, None, None, None, None, storm.area, storm.priority),
        *(storm.affected_count, storm.extent),
    )
    told = Message("id", "alert", wide.now + timedelta(seconds=1), (entry,)).text()
    assert "Most concerned: area Area 0 (50), area Area 1 (50)" in told
