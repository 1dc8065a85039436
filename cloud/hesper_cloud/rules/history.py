"""What stored rows say of meters: when they told a quantity, and what they showed together.

A figure over a place is, live, of each meter's newest value that is not too old. Here the same is
made of rows: a value counts from its capture until the next one of its meter, or until it is too
old. Meters are read some at a time, so that a fleet's rows are never held at once.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from hesper_cloud.db.engines import batched
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.stores.port import Integers, ReadingStore

_AT_ONCE = 2_000
_NEVER = np.iinfo(np.int64).max
Names = np.ndarray[tuple[int], np.dtype[np.str_]]


class Told(NamedTuple):
    """Values of one quantity, meter by meter, ascending in time."""

    scaler: int
    meters: Names  # of each value
    at: Integers
    values: Integers

    def part(self, which: slice) -> "Told":
        """Returns some of the values."""
        return Told(self.scaler, self.meters[which], self.at[which], self.values[which])

    def followed_by(self, other: "Told") -> "Told":
        """Returns these values and those of another part."""
        pairs = zip(self[1:], other[1:], strict=True)
        return Told(self.scaler, *(np.concatenate(pair) for pair in pairs))


def told(
    store: ReadingStore, logical_name: str, span: tuple[int, int], meters: Sequence[str]
) -> Iterator[Told]:
    """Yields what meters told of a quantity in the load profile; one may go on in the next part."""
    for names in batched(meters, _AT_ONCE):
        for part in store.rows(LOAD_PROFILE, *span, names):
            for place, quantity in enumerate(part.quantities):
                if quantity.logical_name != logical_name:
                    continue
                there = np.flatnonzero(~part.missing[place])
                if len(there):
                    meters_of = np.array(part.meters)[part.meter_index[there]]
                    at, values = part.captured_at[there], part.values[place, there]
                    yield Told(quantity.scaler, meters_of, at, values)


class Together:
    """Adds up, step by step, what is newest of each meter."""

    def __init__(self, steps: Integers, within_s: int) -> None:
        self._steps = steps
        self._within_s = within_s
        self._counts = np.zeros(len(steps) + 1, dtype=np.int64)
        self._sums: dict[int, Integers] = {}
        self._last: dict[int, Told] = {}  # of each scaler: how long it counts is not known yet

    def add(self, found: Told) -> None:
        """Adds values; they go on where those before ended."""
        last = self._last.get(found.scaler)
        whole = found if last is None else last.followed_by(found)
        is_same = whole.meters[1:] == whole.meters[:-1]
        until = np.where(is_same, whole.at[1:], _NEVER)
        self._count(whole.part(slice(-1)), until)
        self._last[found.scaler] = whole.part(slice(-1, None))

    def _count(self, found: Told, until: Integers) -> None:
        sums = self._sums.setdefault(found.scaler, np.zeros_like(self._counts))
        first = np.searchsorted(self._steps, found.at)
        end = np.searchsorted(self._steps, np.minimum(until, found.at + self._within_s + 1))
        for places, sign in ((first, 1), (end, -1)):
            np.add.at(sums, places, sign * found.values)
            np.add.at(self._counts, places, sign)

    def figures(self) -> Iterator[tuple[int, Decimal, int]]:
        """Yields each step with the sum, and of how many meters it is; after all was added."""
        for last in self._last.values():
            self._count(last, np.array([_NEVER]))
        self._last = {}
        counts = np.cumsum(self._counts).tolist()
        sums = {scaler: np.cumsum(each).tolist() for scaler, each in self._sums.items()}
        for place, at in enumerate(self._steps.tolist()):
            parts = (Decimal(each[place]).scaleb(scaler) for scaler, each in sums.items())
            yield at, sum(parts, Decimal(0)), counts[place]
