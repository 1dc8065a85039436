"""What several visits find becomes common batches."""

import asyncio

import pytest
from hesper_contracts.readings import (
    REGISTER_SNAPSHOT,
    SECTIONS_ALWAYS,
    MeterRows,
    Section,
)
from hesper_gateway.gathering import Find, Gathering
from hesper_gateway.outbox import OutboxFull


async def test_what_several_visits_find_shares_sections_and_marks_follow_rows(bench):
    held = bench.held
    gathering = Gathering(held, window_s=0.01)
    running = asyncio.create_task(gathering.run())
    snapshots = []
    for number in range(3):
        _, server = bench.meter()
        async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
            section = (await reading.snapshot()).section(f"HES{number}", bench.now())
            snapshots.append(gathering.append([Find(section, 100 + number)]))
    await asyncio.gather(*snapshots)
    running.cancel()
    (section,) = held.sections
    assert [rows.meter for rows in section.rows] == ["HES0", "HES1", "HES2"]
    assert held.marks == {(f"HES{n}", REGISTER_SNAPSHOT): 100 + n for n in range(3)}


async def test_a_full_outbox_is_told_to_everyone_who_waits(bench):
    gathering = Gathering(bench.held, window_s=0)
    running = asyncio.create_task(gathering.run())
    bench.held.full = OutboxFull("no room")
    _, server = bench.meter()
    async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
        section = (await reading.snapshot()).section("HES1", bench.now())
    with pytest.raises(OutboxFull):
        await gathering.append([Find(section)])
    bench.held.full = None
    await gathering.append([Find(section)])
    running.cancel()
    assert len(bench.held.sections) == 1


class Counting:
    """An outbox that knows how many sections each batch had."""

    def __init__(self):
        self.sections = []

    async def append_readings(self, sections, _progress=None):
        self.sections.append(len(sections))


async def test_a_batch_has_no_more_sections_than_any_consumer_takes():
    outbox = Counting()
    gathering = Gathering(outbox, window_s=0)
    running = asyncio.create_task(gathering.run())
    one = [
        Section(REGISTER_SNAPSHOT, at, (), [MeterRows("HES1", [at], [0], [0], [])])
        for at in range(SECTIONS_ALWAYS + 3)
    ]
    await gathering.append([Find(section) for section in one])
    running.cancel()
    assert outbox.sections == [SECTIONS_ALWAYS, 3]
