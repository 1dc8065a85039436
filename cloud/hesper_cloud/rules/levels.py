"""A level against its limit over time, and the columns of many meters judged at once.

Theory of operation. A mark remembers one subject whose limit is passed: *waiting* until it has been
so for the hold time, then *raised* until the value is inside the limit by the hysteresis. A subject
without a mark is well. `step` is that machine for one value; `judged` walks it over columns. Rows
are first told apart in whole columns (beyond the limit, well inside); only rows of meters that have
a mark or go beyond are looked at one by one, and of a run of equal rows only the first, so that a
million readings of meters that are well cost a few array operations.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from hesper_cloud.stores.port import Flags, Integers, Quantity


class Mark(NamedTuple):
    """A limit that is passed since an instant, epoch seconds; whether that was told."""

    since: int
    raised: bool


class Change(NamedTuple):
    """What a rule has to say of a subject: an alert begins or ends, or only the mark changed."""

    subject: str
    at: int
    mark: Mark | None  # None: well again
    told: bool | None  # True: raised, False: cleared, None: nothing to tell
    value: float = 0.0


class Columns(Protocol):
    """Rows as columns: a block on its way in, or what the store holds."""

    @property
    def quantities(self) -> tuple[Quantity, ...]: ...
    @property
    def meters(self) -> tuple[str, ...]: ...
    @property
    def meter_index(self) -> Integers: ...
    @property
    def captured_at(self) -> Integers: ...
    @property
    def values(self) -> Integers: ...
    @property
    def missing(self) -> Flags | None: ...
    @property
    def row_count(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Rows told apart: which count at all, are beyond the limit, are well inside it."""

    counts: Flags
    beyond: Flags
    calm: Flags
    shown: Integers | np.ndarray[tuple[int], np.dtype[np.float64]]  # the value to show, by row
    scale: float = 1.0


def step(mark: Mark | None, at: int, hold_s: int, *, beyond: bool, calm: bool) -> Mark | None:
    """Returns the mark after a value at an instant."""
    if mark is None:
        return Mark(at, hold_s == 0) if beyond else None
    if mark.raised:
        return None if calm else mark
    if not beyond:
        return None
    return Mark(mark.since, at - mark.since >= hold_s)


def moved(subject: str, at: int, before: Mark | None, after: Mark | None) -> Change | None:
    """Returns the change from one mark to the next, None when there is none."""
    if before == after:
        return None
    was, is_ = before is not None and before.raised, after is not None and after.raised
    return Change(subject, at, after, None if was == is_ else is_)


def judged(
    columns: Columns,
    seen: Seen,
    marks: Mapping[str, Mark],
    hold_s: int,
    is_for: Callable[[str], bool],
) -> list[Change]:
    """Returns what changes, in order of time by meter.

    Args:
        columns: Rows in any order; a meter may stand in ``meters`` several times.
        seen: What they are.
        marks: Of the meters that are not well.
        hold_s: For how long a limit must be passed.
        is_for: Says whether the rule is for a meter.
    """
    touched = seen.counts & seen.beyond
    if not marks and not touched.any():
        return []
    own = _own_places(columns, touched, marks, is_for)
    telling = seen.counts & (own >= 0)[columns.meter_index]
    if hold_s == 0:  # between the two margins nothing changes; with a hold time it ends the wait
        telling &= seen.beyond | seen.calm
    rows = np.flatnonzero(telling)
    if not len(rows):
        return []
    meters = own[columns.meter_index[rows]]
    order = np.lexsort((columns.captured_at[rows], meters))
    rows, meters = rows[order], meters[order]
    if hold_s == 0:
        rows = rows[_turns(meters, seen.beyond[rows])]
    return _walk(columns, seen, rows, (dict(marks), hold_s))


def _own_places(
    columns: Columns, touched: Flags, marks: Mapping[str, Mark], is_for: Callable[[str], bool]
) -> Integers:
    """Returns a number for each place in ``meters``, the same for one meter; -1: not looked at."""
    busy = np.zeros(len(columns.meters), dtype=bool)
    busy[columns.meter_index[touched]] = True
    if marks:
        busy |= np.fromiter((m in marks for m in columns.meters), bool, len(columns.meters))
    own = np.full(len(columns.meters), -1, dtype=np.int64)
    numbers: dict[str, int] = {}
    for place in np.flatnonzero(busy).tolist():
        meter = columns.meters[place]
        if is_for(meter):
            own[place] = numbers.setdefault(meter, len(numbers))
    return own


def _turns(meters: Integers, beyond: Flags) -> Flags:
    """Returns the rows that differ from the one before of their meter, and each meter's first."""
    first = np.ones(len(meters), dtype=bool)
    first[1:] = (meters[1:] != meters[:-1]) | (beyond[1:] != beyond[:-1])
    return first


def _walk(
    columns: Columns, seen: Seen, rows: Integers, given: tuple[MutableMapping[str, Mark], int]
) -> list[Change]:
    marks, hold_s = given
    changes = []
    at, index = columns.captured_at[rows].tolist(), columns.meter_index[rows].tolist()
    beyond, calm = seen.beyond[rows].tolist(), seen.calm[rows].tolist()
    for place, row in enumerate(rows.tolist()):
        meter = columns.meters[index[place]]
        before = marks.get(meter)
        after = step(before, at[place], hold_s, beyond=beyond[place], calm=calm[place])
        change = moved(meter, at[place], before, after)
        if change is None:
            continue
        changes.append(change._replace(value=float(seen.shown[row]) * seen.scale))
        keep(marks, change)
    return changes


def keep(marks: MutableMapping[str, Mark], change: Change) -> None:
    """Brings marks up to date with a change."""
    if change.mark is None:
        marks.pop(change.subject, None)
    else:
        marks[change.subject] = change.mark
