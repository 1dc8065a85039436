"""Special days are written as a whole, to the meter that is named, and read back."""

from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_sim.objects.cosem_object import SPECIAL_DAYS
from hesper_sim.objects.tariff import SPECIAL_DAYS_NAME

DAYS = [{"month": 1, "day": 6, "day_id": 2}, {"year": 2027, "month": 4, "day": 5, "day_id": 3}]
WRITTEN = axdr.array(
    axdr.structure(
        axdr.long_unsigned(1), axdr.octet_string(bytes.fromhex("ffff0106ff")), axdr.unsigned(2)
    ),
    axdr.structure(
        axdr.long_unsigned(2), axdr.octet_string(bytes.fromhex("07eb0405ff")), axdr.unsigned(3)
    ),
)


def table(works: Any) -> bytes | None:
    found: bytes | None = works.district.written(works.meter, (SPECIAL_DAYS, SPECIAL_DAYS_NAME, 2))
    return found


async def test_the_table_is_replaced_and_read_back(works: Any) -> None:
    async with works.working():
        result = await works.result("tariff.special_days", parameters={"days": DAYS})
    assert (result.state, result.detail) == ("confirmed", "")
    assert table(works) == axdr.encode(WRITTEN)


async def test_another_meter_is_not_written(works: Any) -> None:
    async with works.working(logical_device_name="HSP0000000000000"):
        result = await works.result("tariff.special_days", parameters={"days": DAYS})
    assert result.state == "failed"
    assert table(works) is None


async def test_a_restart_looks_and_does_not_write_again(works: Any) -> None:
    works.silent = True
    async with works.working():
        works.give(works.command("tariff.special_days", parameters={"days": DAYS}))
        await works.until(lambda w: w.results("c-1"))
    works.silent = False
    async with works.working():
        await works.until(lambda w: w.ended("c-1"))
    assert works.ended("c-1").state == "failed"
    assert table(works) is None


@pytest.mark.parametrize("day", [{"month": 2, "day": 30}, {"month": 2, "day": 29, "year": 2027}])
async def test_a_day_that_no_calendar_has_is_rejected(works: Any, day: dict[str, int]) -> None:
    async with works.working():
        asked = {"days": [{"day_id": 1, **day}]}
        result = await works.result("tariff.special_days", parameters=asked)
    assert result.state == "rejected"
    assert works.received == 0
