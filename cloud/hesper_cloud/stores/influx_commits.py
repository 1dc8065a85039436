"""The order of commits in InfluxDB, and the change feed that follows it.

Theory of operation. Points carry the number of their commit. Before a group's points are written,
an intent with the number and the ranges it covers goes into the ledger; after them the commit, with
the same content. The feed walks over commits and asks for the points of each range that carry the
number. A writer that was killed in between leaves an intent without commit; the next start turns it
into a commit, for its points may be stored, and sent again they would count as known. A reading is
told at least once, in the order in which commits ended. With several writers the feed keeps some
seconds behind, so that a commit that ended earlier cannot appear later; one that took longer than
that to be written down is ended once more, where the feed still comes.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import COMMITS, INTENTS
from hesper_cloud.stores.influx_ql import quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Block, Changes, Integers, Reading
from hesper_cloud.stores.runs import runs

_COMMITS_PER_QUERY = 200
_CURSOR = re.compile(r"[0-9]{1,19}\.[0-9]{1,18}")

Span = tuple[str, int, int]  # profile, first capture, end


class Commit(NamedTuple):
    """One commit: its number, when it was stored, and the ranges in which its points lie."""

    number: int
    stored_at_ms: int
    spans: tuple[Span, ...]

    def line(self, measurement: str, writer: str, position: int) -> bytes:
        """Returns the commit as a point whose time in nanoseconds is its position."""
        spans = json.dumps(self.spans, separators=(",", ":")).replace('"', '\\"')
        fields = f'number={self.number}i,stored_at_ms={self.stored_at_ms}i,spans="{spans}"'
        return f"{measurement},writer={writer} {fields} {position}".encode()


class Commits:
    """Gives numbers to commits and remembers which of them ended.

    Attributes:
        newest: The highest number that was given; 0: none ever.
    """

    def __init__(self, ledger: InfluxServer, *, sole_writer: bool, behind_s: float) -> None:
        self._ledger = ledger
        self._behind_ns = int(behind_s * 10**9)
        self._sole_writer = sole_writer
        self._writer = "sole" if sole_writer else secrets.token_hex(4)
        self.newest = 0

    def load(self) -> None:
        """Learns the newest number, and ends what a killed writer began."""
        ended: dict[str, int] = {}
        for writer, position, commit in self._last(COMMITS):
            ended[writer] = commit.number
            self.newest = max(self.newest, commit.number, position)
        for writer, position, commit in self._last(INTENTS):
            self.newest = max(self.newest, position)
            if ended.get(writer, 0) < commit.number and self._may_end(writer, position):
                self._ledger.write(self._ended(commit, writer), "ns")

    def _may_end(self, writer: str, position: int) -> bool:
        return writer == self._writer or position < time.time_ns() - self._behind_ns

    def _last(self, measurement: str) -> Iterator[tuple[str, int, Commit]]:
        fields = "number, stored_at_ms, spans"
        query = select(fields, measurement, "", "writer ORDER BY time DESC LIMIT 1")
        for table in self._ledger.query(query, "ns"):
            yield table.tags["writer"], table.rows[0][0], _commit(table.rows[0][1:])

    def _next(self) -> int:
        self.newest = max(self.newest + 1, 0 if self._sole_writer else time.time_ns())
        return self.newest

    def next(self, blocks: Sequence[Block], stored_at_ms: int) -> Commit:
        """Returns the commit of a group, to be begun."""
        captured: dict[str, list[Integers]] = {}
        for block in blocks:
            captured.setdefault(block.profile, []).append(block.captured_at)
        spans = (
            (profile, *run)
            for profile, times in captured.items()
            for run in runs(np.concatenate(times))
        )
        return Commit(self._next(), stored_at_ms, tuple(spans))

    def begin(self, commit: Commit) -> None:
        """Makes durable that its points are about to be written."""
        self._ledger.write(commit.line(INTENTS, self._writer, commit.number), "ns")

    def note(self, lines: Sequence[bytes]) -> None:
        """Makes durable what has to be before any point is written."""
        self._ledger.write(b"\n".join(lines), "ns")

    def ended(self, commit: Commit) -> bytes:
        """Returns the line that ends a commit; to be made durable once its points are."""
        return self._ended(commit, self._writer)

    def end_again_if_late(self, commit: Commit) -> None:
        """Ends a commit anew if the feed may have passed its place before it stood there."""
        if self._sole_writer:
            return
        while 0 < self._behind_ns // 2 < time.time_ns() - self.newest:
            self._ledger.write(self.ended(commit), "ns")

    def _ended(self, commit: Commit, writer: str) -> bytes:
        position = commit.number if self._sole_writer else self._next()
        return commit.line(COMMITS, writer, position)

    def after(self, position: int) -> Iterator[tuple[int, Commit]]:
        """Yields commits from a position on, in order."""
        until = "" if self._sole_writer else f" AND time < {time.time_ns() - self._behind_ns}"
        where = f"time >= {position}{until} LIMIT {_COMMITS_PER_QUERY}"
        query = select("number, stored_at_ms, spans", COMMITS, where)
        for table in self._ledger.query(query, "ns"):
            for row in table.rows:
                yield row[0], _commit(row[1:])


def _commit(row: Sequence[object]) -> Commit:
    number, stored_at_ms, spans = row
    return Commit(
        int(str(number)), int(str(stored_at_ms)), tuple(map(tuple, json.loads(str(spans))))
    )


def changes(
    server: InfluxServer, layouts: Layouts, commits: Commits, cursor: str, limit: int
) -> Changes:
    """Returns a page of readings in the order of their commits."""
    if not _CURSOR.fullmatch(cursor or "0.0"):
        raise ValueError(f"{cursor[:200]!r} is no cursor of this store")
    position, offset = map(int, cursor.split(".")) if cursor else (0, 0)
    page: list[Reading] = []
    for at, commit in commits.after(position):
        rows = sorted(_of(server, layouts, commit), key=lambda each: (each.identity, each.revision))
        start = offset if at == position else 0
        taken = rows[start : start + limit - len(page)]
        page += taken
        if len(page) >= limit:
            return Changes(page, f"{at}.{start + len(taken)}")
        position, offset = at + 1, 0
    return Changes(page, f"{position}.{offset}")


def _of(server: InfluxServer, layouts: Layouts, commit: Commit) -> Iterator[Reading]:
    for profile, first, end in _apart(commit.spans):
        where = f"profile = {quoted(profile)} AND {within((first, end))}"
        own = f"{where} AND commit = {commit.number}"
        for table in reads.points(server, own):
            yield from reads.readings_of(table, layouts)
        for number, reading in reads.revisions_by_commit(server, layouts, where):
            if number == commit.number:
                yield reading


def _apart(spans: Sequence[Span]) -> list[Span]:
    """Returns spans of a profile that overlap as one, so that no point lies in two of them."""
    apart: list[Span] = []
    for profile, first, end in sorted(spans):
        before = apart[-1] if apart else ("", 0, 0)
        if before[0] == profile and first <= before[2]:
            apart[-1] = (profile, before[1], max(before[2], end))
        else:
            apart.append((profile, first, end))
    return apart
