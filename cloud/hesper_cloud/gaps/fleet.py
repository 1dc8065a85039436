"""Compares what is due with what is stored for many meters at once, in columns.

Nearly every meter of a fleet is as it was when it was last looked at. One pass over the capture
times of a thousand meters finds all runs of missing captures, one more holds them against the rows
of the gaps table; only meters whose rows differ are then looked at one by one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.gaps.rows import GapRow
from hesper_cloud.gaps.runs import Due, Grid, Run, phase_of
from hesper_cloud.stores.port import Flags, Integers

AT_ONCE = 1000
SLOTS_AT_ONCE = 16_000_000
"""An octet each, some ten at the height: meters that capture every second come a few at a time."""


class Case(NamedTuple):
    """One meter: its captures, what is due of it, and its rows.

    `doubtful` meters are looked at one by one, whether their rows differ or not.
    """

    meter: FleetMeter
    times: Integers
    due: Due
    rows: Sequence[GapRow]
    doubtful: bool


class Finding(NamedTuple):
    """A meter whose rows may have to change, and its runs of missing captures."""

    case: Case
    grid: Grid
    runs: Sequence[Run]


class _Columns(NamedTuple):
    """Runs or rows of several meters: whose each is, its ends and its length; in order."""

    owner: Integers
    ends: Integers

    def of(self, chosen: Flags) -> "_Columns":
        picked = chosen[self.owner]
        return _Columns(self.owner[picked], self.ends[picked])


class _Grids(NamedTuple):
    """The grids of several meters, side by side."""

    first: Integers
    slots: Integers
    period_s: Integers
    phase: Integers

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "_Grids":
        start, end, period_s = np.array([case.due[:3] for case in cases], dtype=np.int64).T
        phase = _phases(cases, period_s)
        first = -(-(start - phase) // period_s)
        return cls(first, np.maximum(0, (end - phase) // period_s - first + 1), period_s, phase)

    def one(self, place: int) -> Grid:
        return Grid(*(int(column[place]) for column in self))

    def times(self, owner: Integers, slot: Integers) -> Integers:
        return (self.first[owner] + slot) * self.period_s[owner] + self.phase[owner]


def findings(cases: Sequence[Case], whole: dict[str, int] | None = None) -> Iterator[Finding]:
    """Yields the meters whose rows are not what is missing, and the doubtful ones.

    Tells in ``whole`` of which nothing is missing, without a row, and when the next capture is due.
    """
    for part in _parts(cases):
        yield from _findings(part, {} if whole is None else whole)


def _parts(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """Yields cases whose slots are looked at together."""
    begin = slots = 0
    for place, (_, _, due, *_) in enumerate(cases):
        own = max(0, due.end - due.start) // due.period_s + 1
        slots += own
        if place > begin and (place - begin == AT_ONCE or slots > SLOTS_AT_ONCE):
            yield cases[begin:place]
            begin, slots = place, own
    if cases:
        yield cases[begin:]


def _findings(cases: Sequence[Case], whole: dict[str, int]) -> Iterator[Finding]:
    grids = _Grids.of(cases)
    runs = _missing(cases, grids)
    rows, earlier = _rows(cases)
    differing = _differing(runs, rows, len(cases))
    differing[earlier] = True
    differing |= np.fromiter((case.doubtful for case in cases), bool, len(cases))
    bounds = np.searchsorted(runs.owner, np.arange(len(cases) + 1))
    following = grids.times(np.arange(len(cases)), grids.slots).tolist()
    for place in np.flatnonzero(np.diff(bounds) == 0).tolist():
        if not cases[place].rows:
            whole[cases[place].meter.id] = following[place]
    for place in np.flatnonzero(differing).tolist():
        ends = runs.ends[bounds[place] : bounds[place + 1]].tolist()
        yield Finding(cases[place], grids.one(place), [Run(*each) for each in ends])


def _phases(cases: Sequence[Case], period_s: Integers) -> Integers:
    """Returns every meter's phase; only where captures differ in theirs is the commonest sought."""
    phase = np.array([case.due.phase for case in cases], dtype=np.int64)
    counts = np.array([len(case.times) for case in cases])
    some = np.flatnonzero(counts)
    if not len(some):
        return phase
    remainders = np.concatenate([case.times for case in cases]) % np.repeat(period_s, counts)
    starts = (np.cumsum(counts) - counts)[some]
    phase[some] = np.minimum.reduceat(remainders, starts)
    for place in some[np.maximum.reduceat(remainders, starts) != phase[some]].tolist():
        phase[place] = phase_of(cases[place].times, cases[place].due.period_s)
    return phase


def _missing(cases: Sequence[Case], grids: _Grids) -> _Columns:
    """Returns the runs of missing captures; as `Grid.missing` and `Grid.runs` find them."""
    place = np.repeat(np.arange(len(cases)), [len(case.times) for case in cases])
    times = np.concatenate([case.times for case in cases])
    period_s = grids.period_s[place]
    slots = (times - grids.phase[place] + period_s // 2) // period_s - grids.first[place]
    inside = (slots >= 0) & (slots < grids.slots[place])
    ends = np.cumsum(grids.slots + 1)  # a full slot after each meter's keeps runs apart
    offsets = ends - grids.slots - 1
    empty = np.ones(int(ends[-1]), dtype=np.int8)
    empty[ends - 1] = 0
    empty[offsets[place[inside]] + slots[inside]] = 0
    steps = np.diff(empty, prepend=np.int8(0))
    begins, afters = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    owner = np.searchsorted(offsets, begins, side="right") - 1
    first = grids.times(owner, begins - offsets[owner])
    last = grids.times(owner, afters - 1 - offsets[owner])
    return _Columns(owner, np.stack([first, last, afters - begins], axis=1))


def _rows(cases: Sequence[Case]) -> tuple[_Columns, Integers]:
    """Returns the rows that begin where their meter's grid does or later, and whose others are."""
    listed = [
        (place, row.first, row.last, row.count)
        for place, case in enumerate(cases)
        for row in case.rows
    ]
    table = np.array(listed, dtype=np.int64).reshape(-1, 4)
    owner = table[:, 0]
    starts = np.array([case.due.start for case in cases], dtype=np.int64)
    inside = table[:, 1] >= starts[owner]
    return _Columns(owner[inside], table[inside, 1:]), owner[~inside]


def _differing(runs: _Columns, rows: _Columns, count: int) -> Flags:
    """Says of each meter whether its rows are others than its runs."""
    now, before = (np.bincount(each.owner, minlength=count) for each in (runs, rows))
    differing: Flags = now != before
    alike_runs, alike_rows = runs.of(~differing), rows.of(~differing)
    unequal = (alike_runs.ends != alike_rows.ends).any(axis=1)
    differing[alike_runs.owner[unequal]] = True
    return differing
