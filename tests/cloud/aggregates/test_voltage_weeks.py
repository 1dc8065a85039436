"""A meter's voltages by the week of its zone, beside the check by day."""

from datetime import date
from typing import Any

from hesper_cloud.aggregates.roster import members
from hesper_cloud.aggregates.voltage import VoltageWeek, weeks
from hesper_cloud.stores.port import Quantity
from hesper_cloud.thresholds import Thresholds

QUARTER = 900
SECOND_PHASE = Quantity("1.0.52.7.0.255", 0, 35)


def assessed(plant: Any, first: date, last: date) -> list[VoltageWeek]:
    member = members(plant.engine, plant.settings, ["M1"])["M1"]
    return list(weeks(plant.store, member, Thresholds(), first, last))


def test_weeks_begin_on_monday_in_the_meters_zone_and_may_have_169_hours(plant: Any) -> None:
    plant.add_meter("M1")
    start, end = plant.at("2026-10-19 00:00"), plant.at("2026-10-26 00:00")  # the clock goes back
    times = range(start + QUARTER, end + QUARTER + 1, QUARTER)  # one capture of the week after
    low = set(times[:33])  # of 676 values five in a hundred are 33.8
    plant.put("M1", {at: 2069 if at in low else 2300 for at in times}, plant.VOLTAGE)
    first, second = assessed(plant, date(2026, 10, 21), date(2026, 10, 26))
    assert (first.monday, first.logical_name) == (date(2026, 10, 19), plant.VOLTAGE.logical_name)
    found = first.assessment
    assert (found.interval_s, found.due, found.known, found.within) == (900, 676, 676, 643)
    assert found.verdict == "met"  # while one whole day of it has failed by itself
    assert (second.assessment.due, second.assessment.known, second.assessment.verdict) == (
        672, 1, "open"
    )  # fmt: skip


def test_a_phase_that_a_meter_has_not_is_not_assessed(plant: Any) -> None:
    plant.add_meter("M1")
    start = plant.at("2026-11-02 00:00")
    times = range(start + QUARTER, start + 86_400, QUARTER)
    plant.put_all(
        "M1", {plant.VOLTAGE: dict.fromkeys(times, 2531), SECOND_PHASE: dict.fromkeys(times, 0)}
    )
    (found,) = assessed(plant, date(2026, 11, 2), date(2026, 11, 3))
    assert found.logical_name == plant.VOLTAGE.logical_name
    assert (found.assessment.beyond, found.assessment.verdict) == (95, "missed")
