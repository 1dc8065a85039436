"""The turnstile before a line: order, one at a time, cancelled callers."""

import asyncio

import pytest
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.line import Line, Priority


class NoCarrier:
    async def open(self, meter, timeout_s):
        raise LineDown("nothing to open")

    async def aclose(self) -> None:
        """Nothing is open."""


class Work:
    """Jobs that hold their turn until they are let go."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()

    def job(self, name: str):
        async def run() -> str:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await self.gate.wait()
            self.at_once -= 1
            self.done.append(name)
            return name

        return run


@pytest.fixture
def line() -> Line:
    return Line("test", NoCarrier(), waiting_max=3)


async def _all_submitted(line: Line, work: Work, *wanted: tuple[str, Priority]):
    tasks = []
    for name, priority in wanted:
        tasks.append(asyncio.create_task(line.submit(work.job(name), priority)))
        await asyncio.sleep(0)
    return tasks


async def test_commands_overtake_bulk_reads_and_one_works_at_a_time(line):
    work = Work()
    bulk, command = Priority.BULK, Priority.COMMAND
    tasks = await _all_submitted(
        line, work, ("first", bulk), ("second", bulk), ("third", bulk), ("cut", command)
    )
    assert line.command_waiting
    work.gate.set()
    assert await asyncio.gather(*tasks) == ["first", "second", "third", "cut"]
    assert work.done == ["first", "cut", "second", "third"]
    assert work.most_at_once == 1
    assert not line.command_waiting


async def test_a_cancelled_caller_leaves_the_queue(line):
    work = Work()
    tasks = await _all_submitted(
        line, work, ("first", Priority.BULK), ("gone", Priority.COMMAND), ("last", Priority.BULK)
    )
    tasks[1].cancel()
    work.gate.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert work.done == ["first", "last"]


async def test_a_caller_cancelled_just_as_its_turn_comes_passes_it_on(line):
    work = Work()
    tasks = await _all_submitted(
        line, work, ("first", Priority.BULK), ("gone", Priority.BULK), ("last", Priority.BULK)
    )
    work.gate.set()
    tasks[0].add_done_callback(lambda _: tasks[1].cancel())
    await asyncio.wait(tasks)
    assert work.done[0] == "first"
    assert work.done[-1] == "last"
    assert await line.submit(work.job("after")) == "after"


async def test_an_error_reaches_its_own_caller_and_frees_the_line(line):
    async def failing() -> None:
        raise LineDown("broken")

    with pytest.raises(LineDown, match="broken"):
        await line.submit(failing)
    work = Work()
    work.gate.set()
    assert await line.submit(work.job("next")) == "next"


async def test_the_queue_is_bounded(line):
    work = Work()
    tasks = await _all_submitted(line, work, *((str(n), Priority.BULK) for n in range(4)))
    with pytest.raises(LineDown, match="3 jobs are waiting"):
        await line.submit(work.job("one too many"))
    work.gate.set()
    await asyncio.gather(*tasks)
