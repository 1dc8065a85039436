"""Commands that read: the meter is asked, the result is signed, no mark of the schedule moves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hesper_contracts.readings import LOAD_PROFILE
from hesper_contracts.results import Findings
from hesper_dlms import obis
from hesper_sim.event_codes import EventCode

HOUR_S = 3600


def at(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat()


def within(works: Any, since_s: float, until_s: float) -> dict[str, str]:
    return {"since": at(works.START + since_s), "until": at(works.START + until_s)}


async def test_ping_tells_name_and_clock_by_the_public_client(works: Any) -> None:
    works.district.set_clock(works.meter, 7)
    async with works.working():
        result = await works.result("ping")
    assert result.state == "confirmed"
    assert result.findings.logical_device_name == works.plan.logical_device_name
    assert result.findings.clock.drift_ms == 7000
    assert result.relay_after is None


async def test_ping_of_a_silent_meter_fails_and_says_where(works: Any) -> None:
    works.silent = True
    async with works.working():
        result = await works.result("ping")
    assert result.state == "failed"
    assert result.detail


async def test_registers_of_several_classes_are_read_as_they_stand(works: Any) -> None:
    wanted = ["1.0.1.8.0.255", "1.0.32.7.0.255", "0.0.96.11.0.255", "1.0.250.8.0.255"]
    async with works.working():
        result = await works.result("read.registers", parameters={"logical_names": wanted})
    assert result.state == "confirmed"
    assert set(result.registers) == set(wanted[:3])
    assert result.registers["1.0.1.8.0.255"][1:] == (0, 30)
    assert result.findings.missing == (wanted[3],)
    assert works.mark(obis.parse("0.0.0.0.0.0")) is None


async def test_a_range_of_a_profile_becomes_readings_and_moves_no_mark(works: Any) -> None:
    asked = {"profile": "1.0.99.1.0.255", **within(works, -5 * HOUR_S, -3 * HOUR_S)}
    await works.outbox.append_events([], {(works.serial, LOAD_PROFILE): works.START})
    async with works.working():
        result = await works.result("read.profile", parameters=asked)
    rows = works.captured_at(LOAD_PROFILE)
    assert rows == [works.START - 5 * HOUR_S + 900 * n for n in range(9)]
    assert (result.state, result.findings.row_count) == ("confirmed", 9)
    assert result.findings.first_at == datetime.fromtimestamp(rows[0], UTC)
    assert result.findings.last_at == datetime.fromtimestamp(rows[-1], UTC)
    assert works.mark(LOAD_PROFILE) == works.START


async def test_an_empty_range_is_confirmed_with_no_rows(works: Any) -> None:
    asked = {"profile": "1.0.99.1.0.255", **within(works, HOUR_S, 2 * HOUR_S)}
    async with works.working():
        result = await works.result("read.profile", parameters=asked)
    assert (result.state, result.findings) == ("confirmed", Findings())


async def test_a_range_of_an_event_log_becomes_events(works: Any) -> None:
    for minute, code in enumerate((EventCode.METER_COVER_OPENED, EventCode.METER_COVER_CLOSED)):
        works.district.log_event([works.meter], code, works.START - HOUR_S + 60 * minute)
    asked = {"log": "fraud", **within(works, -HOUR_S, -HOUR_S)}
    async with works.working():
        result = await works.result("read.event_log", parameters=asked)
    assert (result.state, result.findings.event_count) == ("confirmed", 1)
    (event,) = works.events()
    assert event.code == "tamper.cover_opened"
    assert event.attributes == {"meter_code": 44, "log": "fraud"}


async def test_what_was_read_before_a_failure_is_stored_and_counted(works: Any) -> None:
    asked = {"profile": "1.0.99.1.0.255", **within(works, -47 * HOUR_S, 0)}
    works.silent_after = 17
    limits = {"rows_per_chunk": 40}
    async with works.working(limits=limits):
        result = await works.result("read.profile", parameters=asked)
    rows = works.captured_at(LOAD_PROFILE)
    assert result.state == "failed"
    assert 0 < result.findings.row_count == len(rows) < 47 * 4


async def test_a_reading_that_a_restart_broke_off_is_done_again(works: Any) -> None:
    works.silent = True
    async with works.working():
        works.give(works.command("ping"))
        await works.until(lambda w: w.results("c-1"))
    works.silent = False
    async with works.working():
        await works.until(lambda w: len(w.results("c-1")) == 2)
    assert [each.state for each in works.results("c-1")] == ["executing", "confirmed"]


@pytest.mark.parametrize(
    ("kind", "parameters", "said"),
    [
        ("ping", {"loud": True}, "unknown field"),
        ("relay.read", {"loud": True}, "unknown field"),
        ("read.registers", {"logical_names": []}, "length"),
        ("read.registers", {"logical_names": ["1.8.0"]}, "regex"),
        ("read.profile", {"profile": "1.0.99.1.0.255"}, "since"),
        ("read.profile", {"profile": "1.0.99.1.0.999"} | {"since": at(0), "until": at(1)}, "regex"),
        (
            "read.profile",
            {"profile": "1.0.99.1.0.255", "since": at(9), "until": at(0)},
            "after until",
        ),
        ("read.event_log", {"log": "communication", "since": at(0), "until": at(1)}, "no commun"),
    ],
)
async def test_parameters_that_do_not_fit_are_rejected(
    works: Any, kind: str, parameters: dict[str, Any], said: str
) -> None:
    async with works.working():
        result = await works.result(kind, parameters=parameters)
    assert result.state == "rejected"
    assert said in result.detail
    assert works.received == 0


async def test_a_reading_of_another_meter_is_not_taken(works: Any) -> None:
    async with works.working(logical_device_name="HSP0000000000000"):
        result = await works.result("ping")
    assert result.state == "failed"
    assert "HSP0000000000000" in result.detail


async def test_a_command_whose_time_is_over_reads_nothing(works: Any) -> None:
    past = datetime.fromtimestamp(works.now(), UTC) - timedelta(seconds=1)
    async with works.working():
        result = await works.result("ping", not_after=past)
    assert result.state == "expired"
    assert works.received == 0


async def test_hundreds_of_long_readings_keep_no_relay_waiting(works: Any) -> None:
    works.silent = True
    asked = {"profile": "1.0.99.1.0.255", **within(works, -HOUR_S, 0)}
    async with works.working():
        for number in range(1, 402):
            works.give(works.command("read.profile", number, parameters=asked))
        works.give(works.command("relay.read", 500))
        await works.until(lambda w: w.results("c-500"))
    assert works.results("c-500")[0].state == "executing"
