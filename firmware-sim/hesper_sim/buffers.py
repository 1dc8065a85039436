"""The two ring buffers of a meter in compact columns: load profile and event log.

A row of the load profile costs 36 octets. What was latched before the fleet was born is not stored
at all: it is a pure function of time (see `history`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import Final, NamedTuple

ROW_SLACK: Final = 256
"""Rows that a full buffer grows beyond its depth before the oldest are dropped in one go."""


_NO_TIMES: Final = array("q")
_NO_CELLS: Final = array("I")


class Row(NamedTuple):
    """One row: epoch seconds and what was captured then, in the order of the capture objects."""

    captured_at: int
    values: tuple[int, ...]


class RowBuffer:
    """Rows of unsigned 32-bit integers in ascending time; keeps the last `depth`."""

    __slots__ = ("_cells", "_depth", "_times", "_width")

    def __init__(self, width: int, depth: int) -> None:
        self._width = width
        self._depth = depth
        # Most event logs stay empty, and so do all profiles at first: 0.3 KB less for each meter.
        self._times = _NO_TIMES
        self._cells = _NO_CELLS

    def __len__(self) -> int:
        return min(len(self._times), self._depth)

    @property
    def last_at(self) -> int | None:
        """Time of the newest row, epoch seconds; None while there is none."""
        return self._times[-1] if self._times else None

    def append(self, captured_at: int, values: tuple[int, ...]) -> None:
        """Add the newest row."""
        if self._times is _NO_TIMES:
            self._times, self._cells = array("q"), array("I")
        self._times.append(captured_at)
        self._cells.extend(values)
        if len(self._times) > self._depth + ROW_SLACK:
            del self._times[: -self._depth]
            del self._cells[: -self._depth * self._width]

    def between(self, start: int, end: int) -> list[Row]:
        """Return the rows with start <= time <= end, oldest first."""
        oldest = max(len(self._times) - self._depth, 0)
        first = max(bisect_left(self._times, start), oldest)
        last = bisect_right(self._times, end)
        width = self._width
        return [
            Row(self._times[row], tuple(self._cells[row * width : (row + 1) * width]))
            for row in range(first, last)
        ]
