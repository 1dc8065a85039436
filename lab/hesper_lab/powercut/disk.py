"""A card that keeps what was synchronised, and of the rest whatever it likes.

A write reaches the card for certain only by a sync of its file, a change of a name only by a sync
of the folder. What is pending at a cut may be lost or kept, sector by sector; changes of names are
kept in their order up to some point, as a journalling file system does.
"""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hesper_lab.powercut.recording import Step

SECTOR = 512
Image = Mapping[str, bytes]
"""The files of the folder after a cut."""


@dataclass(slots=True)
class _File:
    kept: bytes = b""
    """What the last sync made sure of."""
    now: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Writes (offset, octets) and truncations (size, None) since then."""

    def write(self, at: int | None, octets: bytes) -> None:
        at = len(self.now) if at is None else at
        self.pending.append((at, octets))
        _apply(self.now, at, octets)

    def truncate(self, size: int) -> None:
        self.pending.append((size, None))
        _apply(self.now, size, None)

    def sync(self) -> None:
        self.kept = bytes(self.now)
        self.pending.clear()

    def torn(self, dice: random.Random) -> bytes:
        """Returns what was kept with any sectors of what is pending."""
        content = bytearray(self.kept)
        for at, octets in self.pending:
            for offset, part in _sectors(at, octets):
                if dice.random() < 0.5:
                    _apply(content, offset, part)
        return bytes(content)


def _apply(content: bytearray, at: int, octets: bytes | None) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    if octets is None:
        del content[at:]
    else:
        content[at : at + len(octets)] = octets


def _sectors(at: int, octets: bytes | None) -> Iterator[tuple[int, bytes | None]]:
    if octets is None:
        yield at, None
        return
    first = SECTOR - at % SECTOR
    cuts = [0, *range(first, len(octets), SECTOR), len(octets)]
    for start, end in itertools.pairwise(cuts):
        yield at + start, octets[start:end]


class Card:
    """Plays a recording and says what a cut now could leave."""

    def __init__(self) -> None:
        self._kept: dict[str, _File] = {}
        self._now: dict[str, _File] = {}
        self._renamings: list[dict[str, _File]] = []
        """The names after each change that no sync of the folder has made sure of."""

    def take(self, step: Step) -> None:
        """Does one step of the recording."""
        match step.action:
            case "create":
                if step.name not in self._now:
                    self._named({**self._now, step.name: _File()})
            case "write":
                self._now[step.name].write(step.at, step.octets)
            case "truncate":
                self._now[step.name].truncate(step.at or 0)
            case "sync" if step.name == "":
                self._kept = dict(self._now)
                self._renamings.clear()
            case "sync":
                self._now[step.name].sync()
            case "unlink":
                self._named({n: f for n, f in self._now.items() if n != step.name})
            case "rename":
                left = {n: f for n, f in self._now.items() if n != step.name}
                self._named({**left, step.octets.decode(): self._now[step.name]})
            case "promise":
                pass

    def images(self, dice: random.Random, torn: int) -> Iterator[Image]:
        """Yields what a cut now could leave: least, most, and some mixtures."""
        yield {name: file.kept for name, file in self._kept.items()}
        yield {name: bytes(file.now) for name, file in self._now.items()}
        for _ in range(torn):
            names = dice.choice([self._kept, *self._renamings])
            yield {name: file.torn(dice) for name, file in names.items()}

    def _named(self, names: dict[str, _File]) -> None:
        self._now = names
        self._renamings.append(names)
