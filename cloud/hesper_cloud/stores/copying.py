"""Readings moved from one store to another, a day at a time, verified before a day counts.

Theory of operation. A day is read from the source and written to the target, where equal rows are
no news; then it is read back from the target. It is done when both gave as many readings with the
same sum of digests, which does not depend on their order. Days that are done are noted in a file,
so a copy that was stopped goes on where it was. Copied are readings with their revisions, not when
the source stored them: the target says when it did, and its change feed begins with the copy.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hesper_cloud.stores.blocks import blocks_of
from hesper_cloud.stores.port import Group, Reading, ReadingStore, StoreError

DAY_S = 86_400
_ROWS_PER_GROUP = 20_000
_DIGEST_RANGE = 2**256


class CopyDiffers(StoreError):
    """The target does not give back what the source gave."""


@dataclass(frozen=True, slots=True)
class Content:
    """Readings as a number: how many, how many of them revisions, and the sum of their digests."""

    readings: int = 0
    revisions: int = 0
    sha256: str = "0" * 64

    def plus(self, other: "Content") -> "Content":
        """Returns both together."""
        total = (int(self.sha256, 16) + int(other.sha256, 16)) % _DIGEST_RANGE
        return Content(
            self.readings + other.readings, self.revisions + other.revisions, f"{total:064x}"
        )

    def minus(self, other: "Content") -> "Content":
        """Returns what is left without the other, which is part of this."""
        total = (int(self.sha256, 16) - int(other.sha256, 16)) % _DIGEST_RANGE
        return Content(
            self.readings - other.readings, self.revisions - other.revisions, f"{total:064x}"
        )


class Counting:
    """Passes readings on and adds them up."""

    def __init__(self) -> None:
        self._count = self._revisions = self._total = 0

    def through(self, readings: Iterable[Reading]) -> Iterator[Reading]:
        """Yields the same readings."""
        for reading in readings:
            self._count += 1
            self._revisions += reading.revision > 0
            digest = hashlib.sha256(repr(_said(reading)).encode()).digest()
            self._total += int.from_bytes(digest, "big")
            yield reading

    @property
    def content(self) -> Content:
        """What went through so far."""
        return Content(self._count, self._revisions, f"{self._total % _DIGEST_RANGE:064x}")


def _said(reading: Reading) -> tuple[object, ...]:
    values = tuple(tuple(value) for value in reading.values)
    return (*reading.identity, reading.quality, reading.received_at, values, reading.revision > 0)


def content(readings: Iterable[Reading]) -> Content:
    """Returns readings as a number; what reading them raises is passed on."""
    counting = Counting()
    for _ in counting.through(readings):
        pass
    return counting.content


def content_of(store: ReadingStore, start: int, end: int) -> Content:
    """Returns what a store holds of a range."""
    return content(store.export(start, end))


class Progress:
    """Days that are done, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        found = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self.done = {int(day): Content(**content) for day, content in found.items()}

    def add(self, day: int, content: Content) -> None:
        """Notes a day; the file is replaced in one step."""
        self.done[day] = content
        written = self._path.with_name(self._path.name + ".part")
        written.write_text(json.dumps({day: asdict(each) for day, each in self.done.items()}))
        written.replace(self._path)

    def forget(self) -> None:
        """Removes the file after all is done."""
        self._path.unlink(missing_ok=True)


def copy(
    source: ReadingStore,
    target: ReadingStore,
    progress: Progress,
    tell: Callable[[int, int, Content], None],
) -> Content:
    """Copies every reading and returns what was copied, days of earlier runs included.

    Args:
        source: Nothing is changed in it.
        target: May hold readings already; a day must then be the same in both.
        progress: Days that are done.
        tell: Is told days done, days in all, and the content so far.

    Raises:
        CopyDiffers: a day is not the same in both stores afterwards.
    """
    extent = source.extent()
    days = range(0) if extent is None else range(extent[0] // DAY_S, -(-extent[1] // DAY_S))
    total = Content()
    for number, day in enumerate(days, start=1):
        if day not in progress.done:
            content = _copy_day(source, target, day)
            if content.readings:
                progress.add(day, content)
        total = total.plus(progress.done.get(day, Content()))
        tell(number, len(days), total)
    return total


def _copy_day(source: ReadingStore, target: ReadingStore, day: int) -> Content:
    start, end = day * DAY_S, (day + 1) * DAY_S
    counting = Counting()
    put_in(target, counting.through(source.export(start, end)))
    found = content_of(target, start, end) if counting.content.readings else Content()
    if found != counting.content:
        raise CopyDiffers(
            f"{time.strftime('%Y-%m-%d', time.gmtime(start))}: the source has {counting.content}, "
            f"the target {found}"
        )
    return found


def put_in(target: ReadingStore, readings: Iterable[Reading]) -> None:
    """Writes readings, then their revisions, which are kept in memory until then."""
    revisions, group = list[Reading](), list[Reading]()
    for reading in readings:
        (revisions if reading.revision else group).append(reading)
        if len(group) >= _ROWS_PER_GROUP:
            _write(target, group)
            group = []
    _write(target, group)
    for reading in sorted(revisions, key=lambda each: each.revision):  # in their order, one by one
        _write(target, [reading])


def _write(target: ReadingStore, readings: Sequence[Reading]) -> None:
    if readings:
        blocks = [block for block, _ in blocks_of(readings)]
        target.write(Group({}, blocks, time.time_ns() // 1_000_000))
