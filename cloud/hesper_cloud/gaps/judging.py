"""What becomes of one meter's rows: each is held against the captures that are missing now.

Rows follow the runs on the meter's grid; what was given up is told apart, and stays so. While the
meter was out of service nothing is missing, though it is there again. A row from
before the grid begins, when the meter captured at another period, is held against the captures that
it stands for. A row that no run is left of is closed if all its captures are there; if not, they
are accounted for by another row, and it is dropped.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hesper_cloud.assets.service_life import NEVER_AWAY, Away
from hesper_cloud.db.registry import LIVE_GAPS
from hesper_cloud.gaps.causes import UNKNOWN
from hesper_cloud.gaps.fleet import Finding
from hesper_cloud.gaps.following import Followed, follow
from hesper_cloud.gaps.rows import SETTLED, GapRow
from hesper_cloud.gaps.runs import Grid, Run
from hesper_cloud.stores.port import Integers


class Judged(NamedTuple):
    """Rows that are new, moved, closed with so many captures each, and dropped."""

    fresh: list[GapRow]
    moved: list[GapRow]
    closed: list[tuple[GapRow, int]]
    dropped: list[GapRow]


def judged(
    finding: Finding, profile: str, cause_of: Callable[[Run], str], away: Away = NEVER_AWAY
) -> Judged:
    """Says what becomes of one meter's rows, which change in place where they are moved."""
    times = finding.case.times
    found = Judged([], [], [], [])
    for grid, followed in _followed(finding, profile, cause_of, away):
        found.fresh.extend(followed.fresh)
        found.moved.extend(followed.moved)
        for row in followed.ended:
            count = grid.filled(times, row.first, row.last)
            if count < row.count:
                found.dropped.append(row)
            else:
                found.closed.append((row, count))
    return found


def _followed(
    finding: Finding, profile: str, cause_of: Callable[[Run], str], away: Away
) -> Iterator[tuple[Grid, Followed]]:
    case, grid, runs = finding
    new = GapRow(None, case.meter.id, profile, 0, 0, 0, UNKNOWN)
    start = case.due.start
    for row in case.rows:
        if row.first < start:
            yield _by_itself(row, start, case.times, new)
    listed = [row for row in case.rows if row.first >= start]
    settled = [row for row in listed if row.state == SETTLED]
    if settled or away != NEVER_AWAY:
        missing = grid.missing(case.times)
        accounted = grid.within((row.first, row.last) for row in settled)
        runs = grid.runs(missing & ~accounted & ~grid.due_in(*away))
        yield grid, follow(settled, grid.runs(missing & accounted), grid, new)
    live = [row for row in listed if row.state in LIVE_GAPS]
    yield grid, follow(live, runs, grid, new, cause_of)


def _by_itself(row: GapRow, start: int, times: Integers, new: GapRow) -> tuple[Grid, Followed]:
    """Holds a row against its own captures, as far as they are from before an instant."""
    own = Grid.of_run(row.first, row.last, row.count)
    before = Grid.over(row.first, min(row.last, start - 1), own.period_s, own.phase)
    return before, follow([row], before.runs(before.missing(times)), before, new)
