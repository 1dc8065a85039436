"""Integer streams and columns of rows into numpy arrays (needs numpy; gateways never import this).

What a small batch costs is calls into numpy, not integers: so streams are written straight into
their place, and all columns of a section are summed up together.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hesper_contracts.frame import Refused
from hesper_contracts.streams import LOW, Cursor

Int64s = npt.NDArray[np.int64]
_SHORT = 32
"""Up to so many rows of a meter they are summed place by place, many meters at once."""

Scalar = TypeVar("Scalar", np.uint8, np.uint16, np.int64)


def read(cursor: Cursor, count: int, kind: type[Scalar]) -> npt.NDArray[Scalar]:
    """Returns a stream's integers, modulo what the kind can hold.

    Raises:
        Refused: octets that are no such stream, or too few.
    """
    integers = np.empty(count, np.int64)
    fill(cursor, integers)
    return integers.astype(kind, copy=False)


def fill(cursor: Cursor, out: Int64s) -> None:
    """Writes a stream's integers into an array, row by row; raises as `read` does."""
    head = cursor.octet()
    width = head & ~LOW
    if width > 8:
        raise Refused(f"stream of width {width} at octet {cursor.offset}")
    low = np.int64(cursor.zigzag() if head & LOW else 0)
    if width == 0:
        out.fill(low)
        return
    planes = np.frombuffer(cursor.take(width * out.size), np.uint8)
    if width == 1:
        np.add(planes.reshape(out.shape), low, out=out)
        return
    octets = np.zeros((out.size, 8), np.uint8)
    octets[:, :width] = planes.reshape(width, out.size).T
    np.add(octets.view("<i8").reshape(out.shape), low, out=out)


class Rows:
    """How the rows of a section belong to its meters: ``counts``, at least one each.

    A column travels as each meter's first value, then all steps. `read` puts them where the values
    belong, `settle` makes values of them.
    """

    def __init__(self, counts: Int64s) -> None:
        self.total = int(counts.sum())
        self._counts = counts
        self._each = int(counts[0]) if (counts == counts[0]).all() else None
        self._starts = np.cumsum(counts) - counts

    def owners(self) -> npt.NDArray[np.int32]:
        """Returns whose each row is."""
        meters = np.arange(len(self._counts), dtype=np.int32)
        return meters.repeat(self._counts if self._each is None else self._each)

    def read(self, cursor: Cursor, column: Int64s) -> None:
        """Reads the firsts and steps of one column of ``total`` integers; raises as `read` does."""
        meters = len(self._counts)
        if self._each is not None:
            table = column.reshape(meters, self._each)
            fill(cursor, table[:, 0])
            fill(cursor, table[:, 1:])
            return
        is_step = np.ones(self.total, np.bool_)
        is_step[self._starts] = False
        column[self._starts] = read(cursor, meters, np.int64)
        column[is_step] = read(cursor, self.total - meters, np.int64)

    def settle(self, columns: Int64s) -> None:
        """Makes values of what was read into columns, shape (any, ``total``), in place."""
        if self._each is None:
            firsts = columns[:, self._starts]
            columns[:, self._starts] = 0
            np.cumsum(columns, axis=1, out=columns)
            columns += np.repeat(firsts - columns[:, self._starts], self._counts, axis=1)
        elif self._each <= _SHORT:
            table = columns.reshape(-1, self._each)
            for place in range(1, self._each):
                table[:, place] += table[:, place - 1]
        else:
            table = columns.reshape(-1, self._each)
            np.cumsum(table, axis=1, out=table)
