"""Rows follow the runs of missing captures that they stand for as these grow, shrink or split."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from hesper_cloud.gaps.causes import UNKNOWN
from hesper_cloud.gaps.rows import GapRow
from hesper_cloud.gaps.runs import Grid, Run


class Followed(NamedTuple):
    """Rows that are new, that were moved, and that no run is left of."""

    fresh: list[GapRow]
    moved: list[GapRow]
    ended: list[GapRow]


class _Listed(NamedTuple):
    """A row, and the slots of the grid that it begins and ends at."""

    row: GapRow
    first: int
    last: int


def follow(
    rows: Iterable[GapRow],
    runs: Sequence[Run],
    grid: Grid,
    new: GapRow,
    cause_of: Callable[[Run], str] = lambda _: UNKNOWN,
) -> Followed:
    """Moves rows to the runs they touch.

    Args:
        rows: One meter's rows, oldest first; those that are moved change in place.
        runs: What is missing now, oldest first.
        grid: Of the runs; rows may be from when the meter captured some seconds off it.
        new: What a row is like that no other comes before.
        cause_of: Returns why a run is missing, for rows that are new or know no cause.
    """
    listed = [_Listed(row, grid.slot(row.first), grid.slot(row.last)) for row in rows]
    waiting = list(listed)
    fresh: list[GapRow] = []
    moved: list[GapRow] = []
    for run in runs:
        first, last = grid.slot(run.first), grid.slot(run.last)
        kept = next((each for each in waiting if each.first <= last and each.last >= first), None)
        if kept is not None:
            waiting.remove(kept)
            if _moved(kept.row, run, cause_of):
                moved.append(kept.row)
            continue
        origin = next(
            (each.row.id for each in listed if each.first <= first and last <= each.last), None
        )
        found = replace(new, first=run.first, last=run.last, count=run.length, origin=origin)
        fresh.append(replace(found, cause=cause_of(run)))
    return Followed(fresh, moved, [each.row for each in waiting])


def _moved(row: GapRow, run: Run, cause_of: Callable[[Run], str]) -> bool:
    """Moves a row; says whether that changed anything."""
    was = (row.first, row.last, row.count, row.cause)
    row.first, row.last, row.count = run
    row.cause = cause_of(run) if row.cause == UNKNOWN else row.cause
    return was != (row.first, row.last, row.count, row.cause)
