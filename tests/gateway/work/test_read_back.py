"""What was written and is not told by the meter is unknown: neither done nor not done."""

from collections.abc import Sequence
from typing import Any

import pytest
from hesper_contracts.parameters import SpecialDay
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import ServiceError
from hesper_gateway.counters import Counter
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import MeterRefused, WriteUncertain
from hesper_gateway.sessions import settings_written, special_days

TABLE = [special_days.table(bytes((0, 0, 11, 0, 0, 255)), [SpecialDay(month=1, day=6, day_id=2)])]


class WriteOnly:
    """An association with a meter that takes a table and does not show it."""

    def __init__(self, *, breaks: bool) -> None:
        self.breaks = breaks
        self.written: list[Data] = []

    async def set(self, attribute: CosemAttribute, data: Data) -> None:
        self.written.append(data)

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data | ServiceError]:
        if self.breaks:
            raise ServiceError(3, "exception-response")
        return [ServiceError(3, name="read-write-denied")]


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_table_that_is_not_shown_is_unknown(breaks: bool) -> None:
    meter: Any = WriteOnly(breaks=breaks)
    with pytest.raises(WriteUncertain):
        await settings_written.write(meter, TABLE)
    assert len(meter.written) == 1
    with pytest.raises(MeterRefused):
        await settings_written.differing(meter, TABLE)


async def test_a_full_disk_after_a_clock_was_set_leaves_no_command_open(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> int:
        raise StorageFull("no room")

    works.district.set_clock(works.meter, 31)
    async with works.working():
        monkeypatch.setattr(works.outbox, "append_events", full)
        result = await works.result("clock.sync")
    assert result.state == "confirmed"
    assert works.district.drift_s(works.meter) == 0
    assert works.alarms == []


async def test_a_counter_that_the_full_disk_has_no_room_for_ends_the_command(
    works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise StorageFull("no room")

    async with works.working():
        monkeypatch.setattr(Counter, "__call__", full)
        result = await works.result("tariff.special_days", parameters={"days": []})
    assert result.state == "unknown"
    assert works.alarms == []


async def test_an_open_command_of_a_later_release_does_not_end_the_agent(works: Any) -> None:
    def insert(connection: Any) -> None:
        row = ("later", 1, b"", b'{"kind": "firmware.dream"}', "executing", b"{}")
        connection.execute("INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?)", row)

    await works.database.write(insert)
    async with works.working():
        result = await works.result("ping", 2)
    assert result.state == "confirmed"
    assert works.alarms == ["gateway.command_refused"]
