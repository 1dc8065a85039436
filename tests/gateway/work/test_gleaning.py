"""A range is read to its end or given up, whatever the meter makes of it."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from hesper_gateway.errands.findings import Tally
from hesper_gateway.errands.gleaning import Gleaning
from hesper_gateway.sessions.reading import Range


@dataclass(frozen=True)
class Old:
    """What a meter sends that does not understand ranges: its oldest rows."""

    mark: int | None = 500
    captured_at: Any = (400, 500)


async def test_a_meter_that_always_sends_its_oldest_rows_is_not_asked_for_ever(works: Any) -> None:
    stored: list[Old] = []

    async def chunks(left: Range) -> AsyncGenerator[Old, None]:
        while True:
            yield Old()

    async def store(haul: list[Old]) -> None:
        stored.extend(haul)
        await asyncio.sleep(0)

    async with works.line() as line, asyncio.timeout(60):
        gleaning = Gleaning(works.session(line), chunks, store, Tally())
        stopped = await gleaning.run(Range(1000, 2000), lambda: None)
    assert "before the range" in stopped
    assert len(stored) == 2
