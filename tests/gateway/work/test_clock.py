"""Clocks are set by command: never far, never over a capture, never the wrong meter's."""

from typing import Any

import pytest


def drift_s(works: Any) -> float:
    found: float = works.district.drift_s(works.meter)
    return found


async def test_a_clock_is_set_read_back_and_told(works: Any) -> None:
    works.district.set_clock(works.meter, 31)
    async with works.working():
        result = await works.result("clock.sync")
    assert result.state == "confirmed"
    assert result.findings.clock.drift_ms == 31_000
    assert result.findings.clock_after.drift_ms == 0
    assert drift_s(works) == 0
    (event,) = [event for event in works.events() if event.code == "clock.set"]
    assert event.attributes == {"drift_before_s": 31, "drift_after_s": 0}


@pytest.mark.parametrize(
    ("since_capture_s", "wrong_s", "said"),
    [
        (300, 61, "at most 60 s"),
        (20, -30, "jump over"),
        (893, 3, "jump over"),
        (3, 3, "jump over"),
    ],
)
async def test_a_step_that_may_do_harm_is_not_made(
    works: Any, since_capture_s: float, wrong_s: float, said: str
) -> None:
    works.time_s = works.START + since_capture_s
    works.district.set_clock(works.meter, wrong_s)
    async with works.working():
        result = await works.result("clock.sync")
    assert result.state == "failed"
    assert said in result.detail
    assert drift_s(works) == wrong_s
    assert [event for event in works.events() if event.code == "clock.set"] == []


async def test_a_step_as_long_as_the_period_is_for_a_person(works: Any) -> None:
    works.time_s = works.START + 450
    works.district.set_clock(works.meter, 1000)
    async with works.working():
        result = await works.result("clock.sync", parameters={"max_step_s": 3600})
    assert "captures 900 s apart" in result.detail
    assert drift_s(works) == 1000


async def test_the_clock_of_another_meter_is_not_set(works: Any) -> None:
    works.district.set_clock(works.meter, 31)
    async with works.working(logical_device_name="HSP0000000000000"):
        result = await works.result("clock.sync")
    assert result.state == "failed"
    assert drift_s(works) == 31


async def test_a_restart_looks_and_does_not_set_again(works: Any) -> None:
    works.district.set_clock(works.meter, 31)
    works.silent = True
    async with works.working():
        works.give(works.command("clock.sync"))
        await works.until(lambda w: w.results("c-1"))
    works.silent = False
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
    ended = works.ended("c-1")
    assert ended.state == "failed"
    assert ended.findings.clock_after.drift_ms == 31_000
    assert drift_s(works) == 31


async def test_a_clock_that_is_right_is_left_alone(works: Any) -> None:
    async with works.working():
        result = await works.result("clock.sync")
    assert result.state == "confirmed"
    assert [event for event in works.events() if event.code == "clock.set"] == []
