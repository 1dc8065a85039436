"""News that a full disk has no room for is told later, not lost."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hesper_contracts.events import Event
from hesper_gateway.config import ScheduleConfig
from hesper_gateway.database import StorageFull
from hesper_gateway.meter_state import MeterState
from hesper_gateway.schedule import Plan, Round, Stop
from hesper_gateway.visit import Visitor, Work


class FullAtFirst:
    """An outbox on a disk that is full until somebody makes room."""

    def __init__(self) -> None:
        self.is_full = True
        self.told: list[Event] = []
        self.changed = asyncio.Event()

    async def require_room(self) -> None:
        """There is room for readings."""

    async def append_events(
        self, new: Sequence[Event], progress: Mapping[tuple[str, bytes], int] | None = None
    ) -> int:
        if self.is_full:
            raise StorageFull("no room")
        self.told += new
        self.changed.set()
        return 1


def visitor_of(works: Any, line: Any, outbox: FullAtFirst) -> Visitor:
    session = works.session(line)
    return Visitor(session, works.gathering, outbox, works.outbox.progress, works.now)


async def test_who_a_meter_is_and_how_its_clock_stands(works: Any) -> None:
    works.district.set_clock(works.meter, 3600)
    outbox = FullAtFirst()
    async with works.working(), works.line() as line:
        visitor = visitor_of(works, line, outbox)
        with pytest.raises(StorageFull):
            await visitor.visit({Work.SNAPSHOT})
        outbox.is_full = False
        await visitor.visit({Work.SNAPSHOT})
        await visitor.visit({Work.SNAPSHOT})
    codes = sorted(event.code for event in outbox.told)
    assert codes == ["clock.drift_exceeded", "meter.identified"]


async def test_that_a_meter_has_gone(works: Any) -> None:
    works.silent = True
    outbox, schedule = FullAtFirst(), ScheduleConfig(back_off_s=1)
    async with works.line() as line:
        state = MeterState(works.serial, schedule, works.now)
        stop = Stop(visitor_of(works, line, outbox), Plan(schedule, 0), state)
        round_ = Round("test", [stop], outbox, works.now)
        with pytest.raises(StorageFull):
            await round_.run()
        outbox.is_full = False
        works.time_s += 10
        async with asyncio.timeout(60):
            running = asyncio.create_task(round_.run())
            await outbox.changed.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert [event.code for event in outbox.told] == ["meter.unreachable"]
