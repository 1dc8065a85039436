"""Clocks are set by command or policy: never far, never over a capture, never the wrong meter's."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hesper_gateway.config import ClockSyncConfig
from hesper_gateway.errands import ClockKeeper, ClockSetter
from hesper_gateway.sessions.clock import ClockPolicy, MeterTime
from hesper_gateway.sessions.clock_setting import ahead_of_utc_s, obstacle
from hesper_gateway.visit import Visitor, Work
from pydantic import ValidationError


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


def visitor_of(works: Any, line: Any, offset_ms: int | None = 0, **changes: Any) -> Visitor:
    session = works.session(line, **changes)
    setter = ClockSetter(works.outbox, lambda: offset_ms)
    keeper = ClockKeeper(session, setter, ClockSyncConfig(), works.now)
    outbox = works.outbox
    return Visitor(session, works.gathering, outbox, outbox.progress, works.now, keeper)


async def test_a_policy_sets_a_clock_beyond_its_limit_and_then_leaves_it(works: Any) -> None:
    works.district.set_clock(works.meter, 9)
    async with works.working(), works.line() as line:
        visitor = visitor_of(works, line)
        await visitor.visit({Work.SNAPSHOT})
        assert drift_s(works) == 9
        works.district.set_clock(works.meter, 11)
        await visitor.visit({Work.SNAPSHOT})
        assert drift_s(works) == 0
        works.district.set_clock(works.meter, 20)
        await visitor.visit({Work.SNAPSHOT})
        assert drift_s(works) == 20
        works.time_s += 86400
        await visitor.visit({Work.SNAPSHOT})
        assert drift_s(works) == 0
    assert len([event for event in works.events() if event.code == "clock.set"]) == 2


@pytest.mark.parametrize(("wrong_s", "offset_ms"), [(61, 0), (30, None), (30, 1001)])
async def test_a_policy_leaves_what_is_far_off_and_does_nothing_without_proven_time(
    works: Any, wrong_s: int, offset_ms: int | None
) -> None:
    works.district.set_clock(works.meter, wrong_s)
    async with works.working(), works.line() as line:
        await visitor_of(works, line, offset_ms).visit({Work.SNAPSHOT})
    assert drift_s(works) == wrong_s


async def test_a_policy_waits_until_no_capture_is_near(works: Any) -> None:
    works.time_s = works.START + 10
    works.district.set_clock(works.meter, -30)
    async with works.working(), works.line() as line:
        visitor = visitor_of(works, line)
        await visitor.visit({Work.SNAPSHOT})
        assert drift_s(works) == -30
        works.time_s += 60
        await visitor.visit({Work.SNAPSHOT})
    assert drift_s(works) == 0


def test_a_policy_must_leave_room_between_limit_and_step() -> None:
    with pytest.raises(ValidationError, match="less than max_step_s"):
        ClockSyncConfig(limit_s=60, max_step_s=60)


@pytest.mark.parametrize(
    ("zone", "deviation", "period_s", "utc", "is_near"),
    [
        ("Asia/Kolkata", None, 3600, (12, 30), True),
        ("Asia/Kolkata", -330, 3600, (12, 30), True),
        ("Asia/Kolkata", -330, 3600, (12, 0), False),
        ("Asia/Kolkata", -330, 86400, (18, 30), True),
        ("Europe/Vienna", None, 86400, (22, 0), True),
        ("Europe/Vienna", -60, 86400, (23, 0), True),
        ("Europe/Vienna", -60, 86400, (0, 0), False),
    ],
)
def test_captures_fall_on_the_meters_local_time(
    zone: str, deviation: int | None, period_s: int, utc: tuple[int, int], is_near: bool
) -> None:
    at = datetime(2026, 9, 21, *utc, tzinfo=UTC).timestamp() - 10
    clock = MeterTime(int(at) + 20, 0, 0, 20.0, deviation)
    policy = ClockPolicy(ZoneInfo(zone), wrong_sign=False, limit_s=10)
    said = obstacle(clock, at, 60, period_s, ahead_of_utc_s(clock, policy))
    assert said == ("a capture is too near, the clock would jump over it" if is_near else "")


async def test_a_gateway_whose_clock_is_wrong_by_now_sets_nothing_and_judges_nothing(
    works: Any,
) -> None:
    works.district.set_clock(works.meter, 30)
    offsets = [0]

    def permit() -> None:
        offsets[0] = 5000  # the machine's clock was set while the line was busy

    async with works.line() as line:
        session = works.session(line)
        setter = ClockSetter(works.outbox, lambda: offsets[0])
        report = await setter.set(session, works.plan.logical_device_name, 60, permit)
        seen = await setter.look(session, "restarted")
    assert (report.done, report.detail) == (False, "the gateway's own clock is not right")
    assert seen.done is None
    assert drift_s(works) == 30
