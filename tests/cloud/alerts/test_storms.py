"""A feeder that is lost is one alert that tells its extent, not two thousand."""

from datetime import timedelta

import pytest
from hesper_cloud.alert_settings import AlertSettings
from hesper_cloud.alerting.extents import Enough, lost
from hesper_cloud.alerting.grid import Grid, Part
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.rules.alerts import Subject, Telling
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.settings import RuleSettings
from sqlalchemy import update

SILENT = "silent-meter"
MOST_STATEMENTS = 60
"""That two thousand meters may cost, raised and gathered: it does not grow with their number."""


@pytest.fixture
def silence(town):
    rule = RuleSettings(silent_after_s=60)
    return SilenceRule(town.engine, town.alerts, rule, town.clock)


def heard(town, meters) -> None:
    with writing(town.engine) as session:
        for start in range(0, len(meters), 1000):
            some = Meter.id.in_(meters[start : start + 1000])
            session.execute(update(Meter).where(some).values(last_contact_at=town.now))


def silent(meter: str, at) -> Telling:
    return Telling(Subject(SILENT, meter=meter), "warning", f"{meter} is silent.", at, symptom=True)


def test_two_thousand_silent_meters_of_a_feeder_become_one_alert(town, silence, counted):
    town.now += timedelta(seconds=61)
    heard(town, town.homes(1))
    counted()
    silence.check()
    town.keeping.turn()
    assert counted() <= MOST_STATEMENTS
    (storm,) = town.found()
    assert (storm.rule, storm.element, storm.severity) == (f"storm/{SILENT}", "F0", "critical")
    assert storm.text == "Feeder North (F0): 2000 of 2000 meters, silent meter."
    assert (storm.affected_count, storm.area) == (2000, "Old Town")
    assert (storm.extent["meters"], storm.extent["of"]) == (2000, 2000)
    assert storm.extent["parts"][0] == {"name": "transformer T0-0", "meters": 50}
    children = town.found(hidden=True)
    assert {each.meter for each in children} == set(town.homes(0))
    assert {(each.parent_id, each.group_key) for each in children} == {(storm.id, storm.group_key)}
    assert town.steps(children[0].id) == ["raised", "hidden"]
    assert storm.priority > max(each.priority for each in children)


def test_what_is_back_leaves_the_storm_and_what_stays_away_comes_up(town, silence):
    town.now += timedelta(seconds=61)
    heard(town, town.homes(1))
    silence.check()
    town.keeping.turn()
    (storm,) = town.found()
    town.now += timedelta(seconds=30)
    heard(town, town.homes(1) + town.homes(0, range(10)))
    silence.check()
    town.later(0)
    assert [(each.id, each.affected_count) for each in town.found()] == [(storm.id, 1500)]
    heard(town, town.homes(1) + town.homes(0)[:-2])
    silence.check()
    town.later(0)
    assert town.found() == []  # the storm is over, two meters have their time to be heard
    town.later(town.settings.surface_after_s)
    assert [each.meter for each in town.found()] == town.homes(0)[-2:]
    assert town.steps(town.found()[0].id) == ["raised", "hidden", "surfaced"]
    assert town.found(hidden=True) == []


def test_later_ones_join_and_a_wider_storm_takes_the_place_of_a_narrow_one(town):
    first = town.homes(0, range(1))
    town.alerts.raise_all([silent(meter, town.now) for meter in first])
    town.later(0)
    assert [each.element for each in town.found()] == ["T0-0"]
    town.alerts.raise_all([silent(meter, town.now) for meter in town.homes(0, range(30))])
    town.later(5)
    assert [(each.element, each.affected_count) for each in town.found()] == [("F0", 1500)]
    town.alerts.raise_all([silent(meter, town.now) for meter in town.homes(0)])
    town.later(5)
    (storm,) = town.found()
    assert storm.affected_count == 2000
    assert town.steps(storm.id) == ["raised"]
    assert len(town.found(hidden=True)) == 2000


def test_a_storm_that_doubles_says_so_in_its_history(town):
    homes = town.homes(0)
    town.alerts.raise_all([silent(meter, town.now) for meter in homes[:1000]])
    town.later(1)
    town.alerts.raise_all([silent(meter, town.now) for meter in homes])
    town.later(1)
    (storm,) = town.found()
    assert town.steps(storm.id) == ["raised", "grew"]


def test_a_storm_that_becomes_critical_says_so_in_its_history(town, town_class):
    town = town_class(town.engine, settings=AlertSettings(storm_critical_meters=40))
    homes = town.homes(0, range(1))
    for count in (30, 45, 30, 42):
        town.alerts.clear_all([(Subject(SILENT, meter=meter), town.now) for meter in homes[count:]])
        town.alerts.raise_all([silent(meter, town.now) for meter in homes[:count]])
        town.later(1)
    (storm,) = town.found()
    assert (storm.severity, storm.affected_count) == ("critical", 42)
    assert town.steps(storm.id) == ["raised", "worsened", "worsened"]


def test_a_storm_of_as_many_as_before_takes_their_higher_severity(town):
    homes = town.homes(0, range(1))
    voltage = [Subject("voltage", meter=meter) for meter in homes]
    town.alerts.raise_all([Telling(each, "warning", "Low.", town.now) for each in voltage[:-1]])
    town.later(1)
    town.alerts.clear(voltage[0])
    town.alerts.raise_(voltage[-1], "critical", "Very low.")
    town.later(1)
    (storm,) = town.found("storm/")
    assert (storm.severity, storm.affected_count) == ("critical", len(homes) - 1)
    assert town.steps(storm.id) == ["raised", "worsened"]


def test_a_few_are_told_one_by_one(town):
    few = town.homes(0, range(1))[: town.settings.storm_meters - 1]
    town.alerts.raise_all([silent(meter, town.now) for meter in few])
    town.later(1)
    assert len(town.found()) == len(few)


def test_scattered_ones_are_no_storm(town):
    scattered = [meter for meter in town.homes(0) + town.homes(1) if meter.endswith("7")]
    told = [
        Telling(Subject("voltage", meter=each), "warning", "Low.", town.now) for each in scattered
    ]
    town.alerts.raise_all(told)
    town.later(1)
    assert len(town.found("voltage")) == len(scattered)


def test_storms_of_different_rules_stand_beside_each_other(town):
    homes = town.homes(0)
    for rule in (SILENT, "voltage"):
        told = [Telling(Subject(rule, meter=each), "warning", "…", town.now) for each in homes]
        town.alerts.raise_all(told)
    town.later(1)
    assert [each.rule for each in town.found()] == [f"storm/{SILENT}", "storm/voltage"]


def grid(**changes) -> Grid:
    made = Grid(
        parents={"A": None, "F": "A", "T": "F"},
        parts={
            "A": Part("area", "A", "Town", True),
            "F": Part("feeder", "F", "North", True),
            "T": Part("transformer", "T", "T", True),
        },
        element_of={f"m{n}": "T" for n in range(20)},
        gateway_of={f"g{n}": "gw-1" for n in range(20)},
        area_of={f"a{n}": "Harbour" for n in range(20)},
        gateway_sizes={"gw-1": 20},
        area_sizes={"Harbour": 20},
    )
    made.sizes.update({"A": 400, "F": 40, "T": 20})
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_highest_part_is_named_unless_nearly_all_hangs_below():
    meters = [f"m{n}" for n in range(20)]
    (found,) = lost(grid(), meters, Enough(10, 50))
    assert (found.part.id, found.of) == ("T", 20)  # the feeder is half lost: by T alone
    more = {f"x{n}": "F" for n in range(10)}
    wider = grid(element_of={**dict.fromkeys(meters, "T"), **more})
    (found,) = lost(wider, [*meters, *more], Enough(10, 50))
    assert (found.part.id, found.below) == ("F", (("transformer T", 20),))


def test_without_topology_a_gateway_is_named_and_then_an_area():
    found = lost(grid(), [f"{kind}{n}" for kind in "ga" for n in range(12)], Enough(10, 50))
    assert [(each.part.key, len(each.meters)) for each in found] == [
        ("gateway/gw-1", 12),
        ("area/Harbour", 12),
    ]


def test_a_circle_in_the_topology_is_no_endless_way():
    circle = grid(parents={"A": "T", "F": "A", "T": "F"})
    assert lost(circle, [f"m{n}" for n in range(20)], Enough(10, 50)) == []
