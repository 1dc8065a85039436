"""A calendar is written beside the active one, compared, and only then made active."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import ActionResult
from hesper_dlms.errors import ServiceError
from hesper_sim.objects import tariff
from hesper_sim.objects.cosem_object import ACTIVITY_CALENDAR
from hesper_sim.objects.tariff import CALENDAR

WANTED = {
    "name": "WINTER-27",
    "seasons": [
        {"name": "summer", "month": 4, "day": 1, "week": "normal"},
        {"name": "winter", "month": 10, "day": 1, "year": 2026, "week": "\u0001"},
    ],
    "weeks": [
        {"name": "normal", "day_ids": [1, 1, 1, 1, 1, 2, 2]},
        {"name": "\u0001", "day_ids": [2] * 7},
    ],
    "days": [
        {
            "day_id": 1,
            "switches": [{"at": "06:00:00", "script": 1}, {"at": "22:00:00", "script": 2}],
        },
        {"day_id": 2, "switches": [{"at": "00:00:00", "script": 2}]},
    ],
    "activate_at": None,
}
SEASONS = axdr.array(
    *(
        axdr.structure(
            axdr.octet_string(name),
            axdr.octet_string(bytes.fromhex(start)),
            axdr.octet_string(week),
        )
        for name, start, week in (
            (b"summer", "ffff0401ff000000008000ff", b"normal"),
            (b"winter", "07ea0a01ff000000008000ff", b"\x01"),
        )
    )
)
ACTIVE, PASSIVE, TIME = 2, 6, 10


def held(works: Any, attribute_id: int) -> bytes | None:
    key = (ACTIVITY_CALENDAR, CALENDAR, attribute_id)
    found: bytes | None = works.district.written(works.meter, key)
    return found


async def test_it_is_written_compared_and_activated(works: Any) -> None:
    async with works.working():
        result = await works.result("tariff.calendar", parameters=WANTED)
    assert (result.state, result.detail) == ("confirmed", "")
    for first in (ACTIVE, PASSIVE):
        assert held(works, first) == axdr.encode(axdr.octet_string(b"WINTER-27"))
        assert held(works, first + 1) == axdr.encode(SEASONS)


async def test_it_waits_for_its_time(works: Any) -> None:
    at = datetime.fromtimestamp(works.now() + 3600, UTC)
    wanted = WANTED | {"activate_at": at.isoformat()}
    async with works.working():
        result = await works.result("tariff.calendar", parameters=wanted)
    assert (result.state, result.detail) == ("confirmed", "")
    assert held(works, ACTIVE) is None
    assert tariff.calendar_due_at(held(works, TIME) or b"", UTC) == works.now() + 3600


async def test_what_the_meter_keeps_otherwise_is_not_activated(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter that answers success and keeps no seasons."""
    keep = tariff.CALENDAR_OBJECT.__class__.keep

    def forgetful(this: Any, subject: Any, attribute_id: int, octets: bytes) -> None:
        if attribute_id != PASSIVE + 1:
            keep(this, subject, attribute_id, octets)

    monkeypatch.setattr(tariff.CALENDAR_OBJECT.__class__, "keep", forgetful)
    async with works.working():
        result = await works.result("tariff.calendar", parameters=WANTED)
    assert result.state == "failed"
    assert result.detail == "read back: the meter holds other seasons; it is not activated"
    assert held(works, ACTIVE) is None


async def test_the_old_activation_time_is_gone_before_anything_is_written(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A meter that declines the weeks is left with a calendar that never becomes active."""
    keep = tariff.CALENDAR_OBJECT.__class__.keep
    times: list[bytes | None] = []

    def declining(this: Any, subject: Any, attribute_id: int, octets: bytes) -> None:
        if attribute_id == PASSIVE:
            times.append(held(works, TIME))
        if attribute_id == PASSIVE + 2:
            raise ServiceError(ActionResult.READ_WRITE_DENIED)
        keep(this, subject, attribute_id, octets)

    monkeypatch.setattr(tariff.CALENDAR_OBJECT.__class__, "keep", declining)
    async with works.working():
        result = await works.result("tariff.calendar", parameters=WANTED)
    assert result.state == "failed"
    assert result.detail.startswith("the meter declines weeks: ")
    assert tariff.calendar_due_at(times[0] or b"", UTC) is None
    assert tariff.calendar_due_at(held(works, TIME) or b"", UTC) is None


@pytest.mark.parametrize("silent_for", range(3, 16, 4))
async def test_a_lost_answer_is_no_guess(works: Any, silent_for: int) -> None:
    """Whichever answer is lost, what is told is what the meter holds."""
    async with works.working():
        works.silent_after = works.received + silent_for
        result = await works.result("tariff.calendar", parameters=WANTED)
    is_active = held(works, ACTIVE) is not None
    assert result.state == ("confirmed" if is_active else "failed")


async def test_a_restart_looks_and_does_not_write_again(works: Any) -> None:
    works.silent = True
    async with works.working():
        works.give(works.command("tariff.calendar", parameters=WANTED))
        await works.until(lambda w: w.results("c-1"))
    works.silent = False
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
    assert works.ended("c-1").state == "failed"
    assert "other calendar name, seasons, weeks, days" in works.ended("c-1").detail
    assert held(works, PASSIVE) is None


async def test_another_meter_is_not_written(works: Any) -> None:
    async with works.working(logical_device_name="HSP0000000000000"):
        result = await works.result("tariff.calendar", parameters=WANTED)
    assert result.state == "failed"
    assert held(works, TIME) is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"weeks": [WANTED["weeks"][0]]}, "a season names the week"),  # type: ignore[index]
        ({"days": [WANTED["days"][0]]}, "a week names the day 2"),  # type: ignore[index]
        ({"days": [*WANTED["days"], WANTED["days"][0]]}, "a day is there twice"),  # type: ignore[misc,index]
    ],
)
async def test_a_calendar_that_does_not_fit_together_is_rejected(
    works: Any, changed: dict[str, Any], why: str
) -> None:
    async with works.working():
        result = await works.result("tariff.calendar", parameters=WANTED | changed)
    assert result.state == "rejected"
    assert why in result.detail
    assert works.received == 0
