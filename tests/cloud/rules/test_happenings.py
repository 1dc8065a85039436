"""Rules of events on what is stored, and the work of every five minutes: fire, end, late."""

from datetime import datetime
from typing import Any

import pytest
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Element, ElementMeter, Gateway, Meter
from hesper_cloud.stores.port import Quantity
from sqlalchemy import select

COVER = {
    "kind": "event", "codes": ["tamper.cover_opened"], "ended_by": ["tamper.cover_closed"],
    "ends_after_s": None,
}  # fmt: skip
BYPASS = {
    "kind": "sequence", "first": ["tamper.cover_opened"], "then": ["relay.closed_by_hand"],
    "within_s": 3600, "ends_after_s": 86_400,
}  # fmt: skip
NOT_BACK = {
    "kind": "sequence", "first": ["power.down"], "then": ["power.up"], "within_s": 600,
    "followed": False, "ends_after_s": None,
}  # fmt: skip
SILENT = {"kind": "absence", "after_s": 3600, "logical_name": "1.0.32.7.0.255"}


def test_an_event_fires_and_its_counterpart_clears(world: Any) -> None:
    world.rule(COVER, text="{title} at {subject}: {code}")
    assert world.tell("M1", 0, "tamper.cover_opened") == ["M1 +0"]
    assert world.texts() == ["r at M1: tamper.cover_opened"]
    assert world.tell("M2", 10, "relay.ready") == ["M1 +0"]
    world.start()
    assert world.tell("M1", 60, "tamper.cover_closed") == ["M1 +0 -60"]


def test_what_does_not_end_by_itself_holds_until_it_is_ended(world: Any) -> None:
    world.rule(COVER)
    world.tell("M1", 0, "tamper.cover_opened")
    for day in range(1, 40):
        assert world.round(day * 86_400) == ["M1 +0"]
    world.start()
    over = 40 * 86_400
    assert world.tell("M1", over, "tamper.cover_closed") == [f"M1 +0 -{over}"]


def test_events_that_come_in_the_wrong_order_are_one_alert_that_is_over(world: Any) -> None:
    world.rule(COVER)
    assert world.tell("M1", 60, "tamper.cover_closed") == []
    assert world.tell("M1", 0, "tamper.cover_opened") == ["M1 +0 -60"]


def test_events_older_than_a_week_are_history(world: Any) -> None:
    world.rule(COVER)
    world.now += 8 * 86_400
    assert world.tell("M1", 0, "tamper.cover_opened") == []


def test_several_events_fire_at_the_last_and_end_by_themselves(world: Any) -> None:
    condition = {"kind": "event", "codes": ["power.down"], "count": 3, "within_s": 600}
    world.rule(condition | {"ends_after_s": 3600})
    for second in (0, 200, 601):
        assert world.tell("M1", second, "power.down") == []
    assert world.tell("M1", 400, "power.down") == ["M1 +400"]  # late, and it makes three of them
    assert world.round(4200) == ["M1 +400"]  # the last three were complete at 601
    world.start()
    assert world.round(4201) == ["M1 +400 -4201"]


@pytest.mark.parametrize("late", [False, True])
def test_a_sequence_fires_also_when_its_first_event_comes_late(world: Any, late: bool) -> None:
    world.rule(BYPASS)
    told = [("M1", 0, "tamper.cover_opened"), ("M1", 3600, "relay.closed_by_hand")]
    for each in reversed(told) if late else told:
        world.tell(*each)
    assert world.alerts() == ["M1 +3600"]
    world.tell("M2", 0, "tamper.cover_opened")
    assert world.tell("M2", 3601, "relay.closed_by_hand") == ["M1 +3600"]


def test_an_event_without_the_other_is_told_when_its_time_is_over(world: Any) -> None:
    world.rule(NOT_BACK)
    assert world.tell("M1", 0, "power.down") == []
    assert world.tell("M2", 0, "power.down") == []
    assert world.tell("M2", 500, "power.up") == []
    assert world.round(599) == []
    world.start()
    assert world.round(600) == ["M1 +600"]
    assert world.tell("M1", 900, "power.up") == ["M1 +600 -900"]


def test_what_is_told_of_an_event_without_the_other_stays_until_that_comes(world: Any) -> None:
    world.rule(NOT_BACK)
    world.tell("M1", 0, "power.down")
    for second in (600, 900, 1200, 86_400):
        assert world.round(second) == ["M1 +600"]
    assert world.tell("M1", 90_000, "power.up") == ["M1 +600 -90000"]


def test_an_answer_that_was_in_time_and_comes_late_takes_the_alert_back(world: Any) -> None:
    world.rule(NOT_BACK)
    world.tell("M1", 0, "power.down")
    assert world.round(700) == ["M1 +600"]
    assert world.tell("M1", 300, "power.up") == ["M1 +600 -300"]


def test_rules_of_events_on_trial_raise_nothing(world: Any) -> None:
    world.rule(COVER, state="trial")
    world.tell("M1", 0, "tamper.cover_opened")
    assert world.tell("M1", 60, "tamper.cover_closed") == []
    assert world.trials() == ["M1 +0 -60"]


def test_absence_is_told_when_it_lasted_and_clears_with_the_next_reading(world: Any) -> None:
    world.rule(SILENT, text="silent since {since}")
    world.see(("M1", 0, 2300), ("M2", 0, 2300))
    world.see(("M2", 3000, 2300))
    assert world.round(3599) == []
    assert world.round(3600) == ["M1 +3600"]
    world.start()
    assert world.round(3900) == ["M1 +3600"]
    world.see(("M1", 4000, 2300))
    assert world.round(4200) == ["M1 +3600 -4000"]


def test_absence_of_any_contact_and_of_events(world: Any, at: Any) -> None:
    world.meters("M1", last_contact_at=at(0))
    world.rule({"kind": "absence", "after_s": 600}, name="contact")
    world.rule({"kind": "absence", "after_s": 900, "codes": ["meter.line_use"]}, name="daily")
    assert world.round(599) == []
    assert world.round(600) == ["M1 +600"]
    world.tell("M1", 800, "meter.line_use")
    assert world.round(1000) == ["M1 +600"]
    assert world.round(1700) == ["M1 +600", "M1 +1700"]


def test_a_figure_over_areas_with_hysteresis_and_hold(world: Any) -> None:
    world.meters("M1", "M2", area="north")
    world.meters("M3", area="south")
    mean = {"kind": "aggregate", "over": "area", "function": "mean", "within_s": 3600}
    condition = mean | {"logical_name": "1.0.32.7.0.255", "limit": "245", "hysteresis": "5"}
    world.rule(condition | {"hold_s": 300}, text="{place}: {value} of {count}, limit {limit}")
    world.see(("M1", 0, 2500), ("M2", 0, 2404), ("M3", 0, 2500))
    assert world.round(0) == []  # must hold
    assert world.round(300) == ["r/north +300", "r/south +300"]
    assert world.texts() == ["north: 245.2 of 2, limit 245", "south: 250 of 1, limit 245"]
    world.see(("M1", 310, 2420), ("M3", 310, 2390))
    assert world.round(600) == ["r/north +300", "r/south +300 -600"]  # 241.2 is not well inside


def test_a_figure_over_feeders_counts_the_meters_that_had_an_event(world: Any, at: Any) -> None:
    with writing(world.registry) as session:
        session.add(Element(id="f1", kind="feeder", name="Mill", parent=None))
        session.add(Element(id="t1", kind="transformer", name="T1", parent="f1"))
        for n in range(3):
            session.add(Meter(id=f"M{n}", first_seen_at=at(0)))
            session.add(ElementMeter(element="t1", meter=f"M{n}", from_at=at(-9), role="customer"))
    condition = {"kind": "aggregate", "over": "feeder", "function": "events", "within_s": 600}
    world.rule(condition | {"codes": ["voltage.sag_l1"], "limit": "1"}, text="{count} at {place}")
    world.tell("M0", 0, "voltage.sag_l1")
    world.tell("M0", 5, "voltage.sag_l1")
    assert world.round(60) == []
    world.tell("M1", 100, "voltage.sag_l1")
    assert world.round(120) == ["f1 +120"]
    assert world.texts() == ["2 at Mill"]
    assert world.round(700) == ["f1 +120 -700"]


def test_a_clock_that_is_a_little_ahead_counts_now(world: Any) -> None:
    world.rule({"kind": "event", "codes": ["tamper.cover_opened"], "ends_after_s": 3600})
    assert world.tell("M1", 100, "tamper.cover_opened", ahead=300) == ["M1 +100"]
    assert world.round(200) == ["M1 +100"]
    assert world.round(5000) == ["M1 +100 -4000"]


@pytest.fixture
def street(world: Any, at: Any) -> Any:
    """Two transformers of one feeder, with two meters and one; each of a gateway of its own."""
    with writing(world.registry) as session:
        session.add(Element(id="f1", kind="feeder", name="Mill", parent=None))
        for gateway, homes in {"gw-1": ("M1", "M2"), "gw-2": ("M3",)}.items():
            place = gateway.replace("gw", "t")
            session.add(Gateway(id=gateway, state="online"))
            session.add(Element(id=place, kind="transformer", name=place, parent="f1"))
            session.flush()
            for meter in homes:
                session.add(Meter(id=meter, first_seen_at=at(0), gateway_id=gateway))
                session.add(
                    ElementMeter(element=place, meter=meter, from_at=at(-9), role="customer")
                )
    return world


@pytest.mark.parametrize(
    ("over", "function", "limit", "told"),
    [
        ("transformer", "sum", "4500", ["t-1 +60"]),
        ("gateway", "sum", "4500", ["gw-1 +60"]),
        ("gateway", "count", "1", ["gw-1 +60"]),
        ("feeder", "count", "2", ["f1 +60"]),
        ("fleet", "sum", "7000", ["r +60"]),
        ("fleet", "mean", "2399", ["r +60"]),
        ("fleet", "count", "3", []),
    ],
)
def test_figures_over_every_kind_of_place(
    street: Any, over: str, function: str, limit: str, told: list[str]
) -> None:
    street.quantity = Quantity("1.0.1.7.0.255", 0, 27)
    condition = {"kind": "aggregate", "over": over, "function": function, "limit": limit}
    street.rule(condition | {"logical_name": "1.0.1.7.0.255"})
    street.see(("M1", 0, 2300), ("M2", 0, 2400), ("M3", 0, 2500))
    assert street.round(60) == told
    assert street.round(60 + 3600) == [f"{each} -3660" for each in told if function == "count"] + [
        each for each in told if function != "count"
    ]  # nobody has a value that is new enough: a count is none, of a sum there is nothing to say


def moves(world: Any, meter: str, then: datetime) -> None:
    """Writes down that a meter hangs on the second transformer from a moment on."""
    with writing(world.registry) as session:
        here = session.scalars(select(ElementMeter).where(ElementMeter.meter == meter)).one()
        here.to_at = then
        session.add(ElementMeter(element="t-2", meter=meter, from_at=then, role="customer"))


def test_a_figure_over_transformers_has_a_meter_where_it_hangs_now(street: Any, at: Any) -> None:
    moves(street, "M1", at(600))
    condition = {"kind": "aggregate", "over": "transformer", "function": "count", "limit": "1"}
    street.rule(condition | {"logical_name": "1.0.32.7.0.255"})
    street.see(("M1", 0, 2300), ("M2", 0, 2300), ("M3", 0, 2300))
    assert street.round(60) == ["t-1 +60"]
    assert street.round(600) == ["t-1 +60 -600", "t-2 +600"]


def test_a_rule_of_an_element_is_for_the_meters_that_hang_there_now(street: Any, at: Any) -> None:
    moves(street, "M1", at(600))
    high = {"kind": "threshold", "logical_name": "1.0.32.7.0.255", "limit": "253"}
    street.rule(high, scope={"elements": ["t-2"]})
    assert street.see(("M1", 0, 2600)) == []
    street.now += 600
    street.start()
    assert street.see(("M1", 600, 2600)) == ["M1 +600"]


def test_a_place_without_meters_is_no_place_any_more(street: Any) -> None:
    condition = {"kind": "aggregate", "over": "gateway", "function": "count", "limit": "0"}
    street.rule(condition | {"logical_name": "1.0.32.7.0.255"})
    street.see(("M1", 0, 2300), ("M3", 0, 2300))
    assert street.round(60) == ["gw-1 +60", "gw-2 +60"]
    with writing(street.registry) as session:
        session.get_one(Meter, "M3").gateway_id = "gw-1"
    assert street.round(90) == ["gw-1 +60", "gw-2 +60 -90"]


def test_who_is_removed_or_leaves_the_scope_is_not_absent(world: Any, at: Any) -> None:
    world.meters("M1", "M2", "M3", last_contact_at=at(0), area="north", life="commissioned")
    world.rule(SILENT | {"logical_name": None}, scope={"areas": ["north"]})
    world.rule(SILENT | {"logical_name": None}, name="all")
    raised = [f"{meter} +3600" for _ in range(2) for meter in ("M1", "M2", "M3")]
    assert world.round(3600) == raised
    with writing(world.registry) as session:
        session.get_one(Meter, "M1").life = "removed"
        session.get_one(Meter, "M2").area = "south"
    over = world.round(3900)
    assert [each for each in over if each.endswith("-3900")] == [
        "M1 +3600 -3900", "M1 +3600 -3900", "M2 +3600 -3900"
    ]  # fmt: skip
    assert world.round(4200) == over
