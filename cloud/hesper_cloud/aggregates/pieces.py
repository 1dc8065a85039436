"""Curves joined from what the store gave in pieces, each in the scaler that its meter had then.

As with `stores.curves`, what cannot be said in the curve's scaler is left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.curves import LARGEST
from hesper_cloud.stores.port import Integers, ReadingColumns, Series

Key = tuple[str, str, int]
"""Meter, logical name, unit."""
_MOST_STEPS = 18  # the largest power of ten in 64 bits


class Piece(NamedTuple):
    """Values of one curve in one part of what the store gave."""

    scaler: int
    times: Integers
    values: Integers
    quality: Integers

    def in_scaler(self, scaler: int) -> "Piece":
        """Returns what of it can be said in a scaler, in 64 bits; none of it in a coarser one."""
        steps = self.scaler - scaler
        if steps == 0:
            return self
        most = LARGEST // 10**steps if steps > 0 else -1
        fits = (self.values >= -most) & (self.values <= most)
        values = self.values[fits] * 10 ** min(max(steps, 0), _MOST_STEPS)
        return Piece(scaler, self.times[fits], values, self.quality[fits])


def pieces(parts: Iterable[ReadingColumns]) -> dict[Key, list[Piece]]:
    """Returns the values of rows by curve; of one that has a value at least."""
    found: dict[Key, list[Piece]] = defaultdict(list)
    for part in parts:
        for meter, rows in part.by_meter():
            for place, quantity in enumerate(part.quantities):
                there = ~part.missing[place, rows]
                if there.any():
                    columns = (part.captured_at[rows], part.values[place, rows], part.quality[rows])
                    piece = Piece(quantity.scaler, *(column[there] for column in columns))
                    found[meter, quantity.logical_name, quantity.unit].append(piece)
    return found


def joined(of_one: Sequence[Piece], scaler: int, unit: int) -> Series:
    """Joins the pieces of a curve, ascending in time, in one scaler."""
    if not of_one:
        return Series([], [], [], scaler, unit)
    said = [piece.in_scaler(scaler) for piece in of_one]
    times = np.concatenate([piece.times for piece in said])
    values = np.concatenate([piece.values for piece in said])
    quality = np.concatenate([piece.quality for piece in said])
    order = np.argsort(times, kind="stable")
    columns = (times[order].tolist(), values[order].tolist(), quality[order].tolist())
    return Series(*columns, scaler, unit)
