"""Thresholds and rates on committed readings: fire, hysteresis, hold, restart, late data, scope."""

import itertools
from datetime import datetime
from typing import Any

import pytest
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, RuleMemory
from hesper_cloud.rules import book, engine
from hesper_cloud.stores.port import Quantity
from sqlalchemy import select
from sqlalchemy.orm import Session

HIGH = {
    "kind": "threshold", "logical_name": "1.0.32.7.0.255", "limit": "253", "hysteresis": "3",
}  # fmt: skip


def test_a_threshold_fires_beyond_its_limit_and_clears_well_inside(world: Any) -> None:
    world.rule(HIGH, text="{value} {unit} at {subject}, {limit} are allowed")
    assert world.see(("M1", 0, 2530), ("M2", 0, 2300)) == []  # at the limit is not beyond it
    assert world.see(("M1", 60, 2531), ("M2", 60, 2300)) == ["M1 +60"]
    assert world.texts() == ["253.1 V at M1, 253 are allowed"]
    assert world.see(("M1", 120, 2600)) == ["M1 +60"]
    assert world.see(("M1", 180, 2510)) == ["M1 +60"]  # inside, but not by the hysteresis
    assert world.see(("M1", 240, 2500)) == ["M1 +60 -240"]
    assert world.see(("M1", 300, 2540), ("M2", 300, 2540)) == ["M1 +60 -240", "M1 +300", "M2 +300"]


def test_a_threshold_below_sees_a_dip_within_one_batch(world: Any) -> None:
    world.rule(HIGH | {"direction": "below", "limit": "207.05", "hysteresis": "2"})
    dip = [("M1", 60 * n, volts) for n, volts in enumerate((2300, 2071, 2070, 2090, 2091))]
    assert world.see(*dip) == ["M1 +120 -240"]


def test_values_that_are_missing_or_beyond_belief_say_nothing(world: Any) -> None:
    world.rule(HIGH)
    assert world.see(("M1", 0, None), ("M1", 60, 2300)) == []
    world.quantity = Quantity("1.0.31.7.0.255", 0, 33)
    assert world.see(("M1", 120, 9999)) == []  # another quantity


def test_a_scaler_does_not_change_the_limit(world: Any) -> None:
    world.rule(HIGH)
    world.quantity = Quantity("1.0.32.7.0.255", -3, 35)
    assert world.see(("M1", 0, 253_000), ("M2", 0, 253_001)) == ["M2 +0"]
    world.quantity = Quantity("1.0.32.7.0.255", 1, 35)
    assert world.see(("M3", 60, 25), ("M4", 60, 26)) == ["M2 +0", "M4 +60"]


def test_a_hold_time_must_pass_without_a_reading_between(world: Any) -> None:
    world.rule(HIGH | {"hold_s": 600})
    assert world.see(("M1", 0, 2540)) == []
    assert world.see(("M1", 300, 2520)) == []  # not beyond: the wait begins anew
    assert world.see(("M1", 600, 2540), ("M1", 1199, 2540)) == []
    assert world.see(("M1", 1200, 2540)) == ["M1 +1200"]
    assert world.see(("M1", 1300, 2490)) == ["M1 +1200 -1300"]


def test_what_is_remembered_survives_a_restart(world: Any) -> None:
    world.rule(HIGH | {"hold_s": 600})
    world.see(("M1", 0, 2540), ("M2", 0, 2540), ("M2", 600, 2540))
    world.start()
    assert world.see(("M1", 600, 2540), ("M2", 700, 2540)) == ["M2 +600", "M1 +600"]
    world.start()
    assert world.see(("M2", 900, 2400)) == ["M2 +600 -900", "M1 +600"]


def test_what_is_found_while_rules_are_looked_at_anew_is_remembered(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread tells of rows, another one looks whether rules changed."""
    world.rule(HIGH)
    world.see(("M1", 0, 2600))
    read = book.load

    def load(session: Session, now: datetime) -> list[book.Running]:
        found = read(session, now)
        world.see(("M2", 60, 2600))
        return found

    monkeypatch.setattr(book, "load", load)
    monkeypatch.setattr(engine, "SCOPES_EVERY_S", 0.0)
    world.rules.refresh(at_once=True)
    assert world.see(("M2", 120, 2300)) == ["M1 +0", "M2 +60 -120"]


def test_a_meter_that_was_removed_is_told_of_again_when_it_is_back(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SCOPES_EVERY_S", 0.0)
    world.meters("M1", life="commissioned")
    world.rule(HIGH)
    world.see(("M1", 0, 2600))
    for second, life, alerts in (
        (300, "removed", ["M1 +0 -300"]),
        (600, "stock", ["M1 +0 -300"]),
        (900, "installed", ["M1 +0 -300", "M1 +900"]),
    ):
        with writing(world.registry) as session:
            session.get_one(Meter, "M1").life = life
        world.round(second)
        world.rules.refresh(at_once=True)
        assert world.see(("M1", second, 2600)) == alerts


def test_what_one_consumer_has_raised_another_one_clears(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SCOPES_EVERY_S", 0.0)
    world.rule(HIGH)
    other = world.rules
    world.start()
    world.see(("M1", 0, 2600))
    world.rules = other
    world.rules.refresh(at_once=True)
    assert world.see(("M1", 60, 2300)) == ["M1 +0 -60"]


def test_late_rows_change_nothing_about_the_present(world: Any) -> None:
    world.rule(HIGH)
    world.see(("M1", 900, 2300), ("M2", 900, 2600))
    assert world.see(("M1", 600, 2600)) == ["M2 +900"]  # was high then, is not now
    assert world.see(("M2", 600, 2300)) == ["M2 +900"]  # was well then, is not now
    assert world.see(("M1", 1800, 2600)) == ["M2 +900", "M1 +1800"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_rows_of_one_batch_may_come_in_any_order(world: Any, order: tuple[int, ...]) -> None:
    world.rule(HIGH)
    points = [("M1", 0, 2300), ("M1", 60, 2600), ("M1", 120, 2400)]
    assert world.see(*(points[place] for place in order)) == ["M1 +60 -120"]


def test_what_is_older_than_it_counts_is_history(world: Any) -> None:
    world.rule(HIGH, fresh_s=3600)
    world.now += 7200
    assert world.see(("M1", 0, 2600)) == []
    assert world.see(("M1", 3600, 2600)) == ["M1 +3600"]


def test_a_rate_compares_with_the_reading_before_also_of_an_earlier_batch(world: Any) -> None:
    rate = {"kind": "rate", "logical_name": "1.0.1.8.0.255", "limit": "6000", "hysteresis": "1000"}
    world.rule(rate | {"direction": "rises"}, text="{value} {unit}/h")
    world.quantity = Quantity("1.0.1.8.0.255", 0, 30)
    assert world.see(("M1", 0, 50_000), ("M2", 0, 70_000)) == []
    assert world.see(("M1", 900, 51_500), ("M2", 900, 71_501)) == ["M2 +900"]
    assert world.texts() == ["6004 Wh/h"]
    assert world.see(("M2", 1800, 72_801)) == ["M2 +900"]  # 5200 an hour
    assert world.see(("M2", 2700, 74_001)) == ["M2 +900 -2700"]
    assert world.see(("M1", 1800, 40_000)) == ["M2 +900 -2700"]  # falls, it does not rise


def test_a_fall_is_a_rate_of_its_own_direction(world: Any) -> None:
    rate = {"kind": "rate", "logical_name": "1.0.1.8.0.255", "limit": "100", "direction": "falls"}
    world.rule(rate)
    world.quantity = Quantity("1.0.1.8.0.255", 0, 30)
    assert world.see(("M1", 0, 50_000), ("M1", 900, 60_000), ("M1", 1800, 59_000)) == ["M1 +1800"]


def test_a_scope_leaves_other_meters_alone(world: Any) -> None:
    world.meters("M1", area="north", model="E450")
    world.meters("M2", area="north", model="ZMF100")
    world.meters("M3", area="south", model="E450")
    world.rule(HIGH, scope={"areas": ["north"], "models": ["E4*"]})
    assert world.see(*((f"M{n}", 0, 2600) for n in (1, 2, 3, 4))) == ["M1 +0"]


def test_on_trial_nothing_is_raised_and_all_is_noted(world: Any) -> None:
    world.rule(HIGH, state="trial")
    assert world.see(("M1", 0, 2600), ("M1", 60, 2400), ("M2", 60, 2600)) == []
    assert world.trials() == ["M1 +0 -60", "M2 +60"]
    world.now += 90 * 86_400
    world.rounds.forget()
    assert world.trials() == ["M2 +60"]


@pytest.mark.parametrize("state", ["on", "off", "trial"])
def test_what_a_trial_has_found_is_over_when_the_rule_begins_anew(world: Any, state: str) -> None:
    world.rule(HIGH, state="trial")
    world.see(("M1", 0, 2600), ("M1", 60, 2400), ("M2", 60, 2600))
    world.now += 40
    world.rule(HIGH | {"limit": "265"}, state=state)
    assert world.trials() == ["M1 +0 -60", "M2 +60 -100"]


def test_an_edit_clears_what_was_raised_and_begins_anew(world: Any) -> None:
    world.rule(HIGH)
    world.see(("M1", 0, 2600))
    world.now += 10
    world.rule(HIGH | {"limit": "270"})
    assert world.alerts() == ["M1 +0 -10"]
    assert world.see(("M1", 60, 2600)) == ["M1 +0 -10"]
    world.rule(HIGH, state="off")
    assert world.see(("M1", 120, 2800)) == ["M1 +0 -10"]
    with reading(world.registry) as session:
        assert session.scalars(select(RuleMemory)).all() == []


def test_a_rule_that_was_edited_meanwhile_writes_nothing(world: Any) -> None:
    world.rule(HIGH)
    stale = world.rules
    world.start()
    world.rule(HIGH | {"limit": "270"})
    world.rules = stale
    assert world.see(("M1", 0, 2600)) == []


def test_a_fleet_beyond_its_limit_is_told_meter_by_meter_in_one_go(world: Any) -> None:
    world.rule(HIGH)
    fleet = [(f"M{n:03}", 60 * k, 2600) for n in range(300) for k in range(4)]
    assert world.see(*fleet) == [f"M{n:03} +0" for n in range(300)]
    calm = [(f"M{n:03}", 600, 2300) for n in range(300)]
    assert world.see(*calm) == [f"M{n:03} +0 -600" for n in range(300)]


def test_who_comes_back_into_the_scope_begins_anew(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SCOPES_EVERY_S", 0.0)
    world.meters("M1", area="north")
    world.rule(HIGH, scope={"areas": ["north"]})
    assert world.see(("M1", 0, 2600)) == ["M1 +0"]
    for area in ("south", "north"):
        with writing(world.registry) as session:
            session.get_one(Meter, "M1").area = area
        world.now += 60
        world.rounds.turn()
        world.rules.refresh(at_once=True)
    assert world.alerts() == ["M1 +0 -60"]
    assert world.see(("M1", 180, 2600)) == ["M1 +0 -60", "M1 +180"]
