"""Holds every image that a power cut may leave against what was promised until then."""

import asyncio
import hashlib
import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hesper_contracts import batch
from hesper_contracts.readings import LOAD_PROFILE
from hesper_contracts.signing import Signer
from hesper_gateway.errors import GatewayError

from hesper_lab.powercut import recording
from hesper_lab.powercut.agent import KEY_NAME, METER, Agent
from hesper_lab.powercut.disk import Card, Image
from hesper_lab.powercut.recording import PROMISES, Step
from hesper_lab.powercut.workload import batches_up_to

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made there is private


@dataclass(slots=True)
class Promised:
    """What the gateway had said when the power went."""

    epoch: str = ""
    batches: dict[int, str] = field(default_factory=dict)
    """Digest by sequence."""
    releasing: set[int] = field(default_factory=set)
    mark: int = 0
    counter: int = 0
    moved: dict[int, int] = field(default_factory=dict)
    """Movements by command."""

    def hear(self, line: str) -> None:
        """Takes one line of the workload."""
        match line.split():
            case ["batch", epoch, sequence, digest]:
                self.epoch = epoch
                self.batches[int(sequence)] = digest
            case ["mark", mark]:
                self.mark = int(mark)
            case ["counter", counter]:
                self.counter = int(counter)
            case ["releasing", sequence]:
                self.releasing.add(int(sequence))
            case ["moved", number, _]:
                self.moved[int(number)] = self.moved.get(int(number), 0) + 1
            case words:
                raise ValueError(f"no promise is written like that: {words}")


@dataclass(slots=True)
class Found:
    """What a survey found."""

    steps: int = 0
    cuts: int = 0
    images: int = 0
    """Distinct ones that were opened."""
    broken: list[str] = field(default_factory=list)


def survey(steps: Sequence[Step], keys: Path, torn: int, seed: int) -> Found:
    """Cuts the power after every step.

    Args:
        steps: The recording.
        keys: Folder with the workload's keys.
        torn: How many mixtures of lost and kept sectors are tried at each step.
        seed: Of the mixtures.
    """
    found = Found(steps=len(steps))
    for image, promised, where in _distinct(steps, torn, random.Random(seed), found):  # noqa: S311
        found.images += 1
        with tempfile.TemporaryDirectory(prefix="hesper-cut-", dir=_scratch()) as folder:
            for name, content in image.items():
                (Path(folder) / name).write_bytes(content)
            try:
                broken = asyncio.run(_broken(Path(folder), keys, promised))
            except (GatewayError, sqlite3.Error, TimeoutError) as error:
                broken = [f"it does not start: {type(error).__name__}: {error}"]
        found.broken += [f"cut after step {where}: {each}" for each in broken]
    return found


def _scratch() -> str | None:
    """Returns a folder in memory where there is one: what is opened is thrown away at once."""
    return str(IN_MEMORY) if IN_MEMORY.is_dir() else None


def _distinct(
    steps: Sequence[Step], torn: int, dice: random.Random, found: Found
) -> Iterator[tuple[Image, Promised, int]]:
    """Yields each image once, with all that was promised by the last cut that leaves it."""
    card = Card()
    last: dict[bytes, tuple[Image, int, int]] = {}
    lines: list[str] = []
    for where, step in enumerate(steps):
        card.take(step)
        if step.action == "promise":
            lines += step.octets.decode().splitlines()
        found.cuts += 1
        for image in card.images(dice, torn):
            files: Image = {n: octets for n, octets in image.items() if n != PROMISES}
            last[_digest(files)] = (files, len(lines), where)
    for files, heard, where in last.values():
        promised = Promised()
        for line in lines[:heard]:
            promised.hear(line)
        yield files, promised, where


def _digest(image: Image) -> bytes:
    whole = hashlib.sha256()
    for name in sorted(image):
        whole.update(f"{name} {len(image[name])} ".encode() + image[name])
    return whole.digest()


async def _broken(folder: Path, keys: Path, promised: Promised) -> list[str]:
    """Starts the gateway's parts on an image; returns the promises that do not hold."""
    moved: list[str] = []
    agent = Agent(folder, keys, moved.append)
    try:
        return [
            *_whole(agent),
            *_readings(agent, promised),
            *_counters(agent, promised),
            *await _commands(agent, promised, moved),
        ]
    finally:
        agent.database.close()


def _whole(agent: Agent) -> Iterator[str]:
    (said,) = agent.database.read(lambda c: c.execute("PRAGMA integrity_check").fetchone())
    if said != "ok":
        yield f"the database is damaged: {said}"


def _readings(agent: Agent, promised: Promised) -> Iterator[str]:
    outbox = agent.outbox
    if promised.batches and outbox.epoch != promised.epoch:
        yield f"epoch {outbox.epoch} instead of {promised.epoch}"
    waiting = {*outbox.readings_after(-1, 10_000), *outbox.urgent()}
    for sequence, digest in promised.batches.items():
        stored = outbox.load(sequence)
        if stored is None:
            yield f"batch {sequence} is lost"
        elif batch.digest(stored.payload) != digest:
            yield f"batch {sequence} has other octets"
        elif sequence not in waiting | promised.releasing:
            yield f"batch {sequence} would never be sent"
    mark = outbox.progress.last_capture(METER, LOAD_PROFILE) or 0
    if mark < promised.mark:
        yield f"mark {mark}, promised was {promised.mark}"
    (count,) = agent.database.read(
        lambda c: c.execute("SELECT count(*) FROM batches WHERE kind = 'readings'").fetchone()
    )
    if count != batches_up_to(mark):
        yield f"mark {mark} with {count} batches"


def _counters(agent: Agent, promised: Promised) -> Iterator[str]:
    following = agent.counters.reserve(METER, KEY_NAME)()
    if following <= promised.counter:
        yield f"counter {following} again, {promised.counter} was used"


async def _commands(agent: Agent, promised: Promised, moved: list[str]) -> list[str]:
    """Delivers again every command whose movement was seen."""
    for number in promised.moved:
        agent.receive(number)
    numbers = range(1, max(promised.moved, default=0) + 1)
    await agent.settled(numbers)
    twice = [f"command {n} moved the relay {c} times" for n, c in promised.moved.items() if c > 1]
    return twice + [f"the relay moved again: {action}" for action in moved]


def record_workload(folder: Path, pages: int, synchronous: str = "FULL") -> tuple[list[Step], Path]:
    """Runs the workload under the recorder; returns its steps and the folder of its keys.

    Args:
        folder: An empty one.
        pages: A checkpoint comes after so many.
        synchronous: Another than the gateway's own, to see that the survey notices.

    Raises:
        NoRecorder: strace is absent or not permitted.
    """
    state, keys = folder / "state", folder / "keys"
    state.mkdir()
    keys.mkdir()
    for name in ("authority", "gateway"):
        Signer.generate().save(keys / f"{name}.key")
    command = [sys.executable, "-m", "hesper_lab.powercut.workload", str(state), str(keys)]
    return recording.record([*command, str(pages), synchronous], state), keys
