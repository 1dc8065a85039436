"""The supervisor and the alarms: one line's fault stays there, a flood becomes one event."""

import asyncio

import pytest
from hesper_contracts import events
from hesper_gateway.alarms import Alarms
from hesper_gateway.database import DatabaseError
from hesper_gateway.errors import LineDown
from hesper_gateway.outbox import Outbox
from hesper_gateway.supervise import supervise


class Flaky:
    """Work that raises these in turn, then returns."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.started = 0

    async def __call__(self) -> None:
        self.started += 1
        if self.errors:
            raise self.errors.pop(0)


async def test_what_fails_is_started_again() -> None:
    work = Flaky(LineDown("port taken"), KeyError("our bug"), LineDown("port taken"))
    await supervise("lan-1", work, first_pause_s=0.001)
    assert work.started == 4


async def test_a_broken_database_ends_the_process() -> None:
    work = Flaky(DatabaseError("closed"))
    with pytest.raises(DatabaseError):
        await supervise("lan-1", work)


async def test_a_flood_of_alarms_becomes_one_event(outbox: Outbox) -> None:
    stored = asyncio.Event()
    outbox.appended = stored.set
    alarms = Alarms(outbox, quiet_s=0.05)
    running = asyncio.create_task(alarms.run())
    for _ in range(1000):
        alarms.tell("gateway.command_forged", "signature does not hold")
    await asyncio.wait_for(stored.wait(), 5)
    assert outbox.backlog_batches == 1
    await asyncio.sleep(0.05)
    stored.clear()
    alarms.tell("gateway.command_forged", "signature does not hold")
    await asyncio.wait_for(stored.wait(), 5)
    running.cancel()
    last = outbox.load(list(outbox.urgent())[-1])
    assert last is not None
    (event,) = events.from_payload(last.payload).events
    assert event.text == "signature does not hold (and 999 times since the last alarm)"
