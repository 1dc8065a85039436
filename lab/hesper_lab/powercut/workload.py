"""What a gateway does to its card, in short; every promise is written where strace sees it.

Usage: python -m hesper_lab.powercut.workload FOLDER KEYS PAGES SYNCHRONOUS
"""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path

from hesper_contracts import batch
from hesper_contracts.events import Event
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_gateway import database

from hesper_lab.powercut.agent import COMMAND_COUNT, GATEWAY, KEY_NAME, METER, NOON, Agent
from hesper_lab.powercut.recording import PROMISES

ROUNDS = 3
BATCHES = 4
ROWS = 40
COUNTERS_EACH = 450
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


class Promises:
    """Says a line at once; what is said here may not be taken back by a power cut."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / PROMISES, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(self, *words: object) -> None:
        """Writes one line in one system call."""
        os.write(self._file, (" ".join(map(str, words)) + "\n").encode())

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)


def section(first: int) -> Section:
    """Returns rows whose values do not compress away."""
    times = [first + 900 * index for index in range(ROWS)]
    values: list[int | None] = [(first + index) * 2654435761 % 2**32 for index in range(ROWS)]
    rows = MeterRows(METER, times, [0] * ROWS, [0] * ROWS, [values])
    return Section(LOAD_PROFILE, times[-1] + 1, (ENERGY,), [rows])


def mark_of(index: int) -> int:
    """Returns the mark of a batch of readings, counted from 0."""
    return 1 + index * ROWS


def batches_up_to(mark: int) -> int:
    """Returns how many batches of readings there are when the mark stands there."""
    return 0 if mark == 0 else 1 + (mark - 1) // ROWS


async def _round(agent: Agent, promises: Promises, number: int) -> None:
    outbox = agent.outbox
    counter = agent.counters.reserve(METER, KEY_NAME)
    for index in range(BATCHES):
        mark = mark_of(number * BATCHES + index)
        sequence = await outbox.append_readings([section(mark)], {(METER, LOAD_PROFILE): mark})
        _promise_batch(agent, promises, sequence)
        promises.say("mark", mark)
        used = [counter() for _ in range(COUNTERS_EACH)]
        promises.say("counter", used[-1])
    event = Event(id=f"e-{number}", code="gateway.started", occurred_at=NOON)
    _promise_batch(agent, promises, await outbox.append_events([event]))
    loaded = outbox.load(1 + number)
    if loaded is not None:
        promises.say("releasing", loaded.sequence)
        receipt = Receipt(loaded.sequence, batch.digest(loaded.payload))
        await outbox.release(ReceiptList(GATEWAY, outbox.epoch, (receipt,)))
    agent.receive(number + 1)
    await agent.settled(range(1, number + 2))


def _promise_batch(agent: Agent, promises: Promises, sequence: int) -> None:
    stored = agent.outbox.load(sequence)
    if stored is not None:
        promises.say("batch", agent.outbox.epoch, sequence, batch.digest(stored.payload))


async def run(folder: Path, keys: Path) -> None:
    """Starts and stops the gateway's parts once per round."""
    promises = Promises(folder)
    for number in range(min(ROUNDS, COMMAND_COUNT)):
        agent = Agent(folder, keys, partial(promises.say, "moved", number + 1))
        await _round(agent, promises, number)
        agent.database.close()
    promises.close()


def main() -> None:
    """Runs with checkpoints every so many pages, so that a short run has many of them."""
    folder, keys, pages = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    database.CONNECTION_SETTINGS["wal_autocheckpoint"] = (str(pages), pages)
    level = {"FULL": 2, "NORMAL": 1, "OFF": 0}[sys.argv[4]]
    database.CONNECTION_SETTINGS["synchronous"] = (sys.argv[4], level)
    asyncio.run(run(folder, keys))


if __name__ == "__main__":
    main()
