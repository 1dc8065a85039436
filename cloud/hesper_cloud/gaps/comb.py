"""Capture times of meters that capture at equal distances: a bit each.

A meter's teeth are the times at which it may capture: multiples of the distance, behind them by a
phase of its own. Up to a thousand meters with the same distance share tables of bits, one for each
128 teeth, which are made when the first capture falls into them and go when they are past. A meter
that captures every quarter of an hour takes 12 octets a day.
"""

from collections.abc import Iterator

import numpy as np

from hesper_cloud.stores.port import Flags, Integers

ROWS = 1024
TEETH = 128
_OCTETS = TEETH // 8


class Comb:
    """The captures of meters, by row, that are ``step_s`` apart; any of them may be missing."""

    def __init__(self, step_s: int) -> None:
        self.step_s = step_s
        self._count = 0
        self._phase: Integers = np.zeros(ROWS, dtype=np.int64)
        self._news: Flags = np.zeros(ROWS, dtype=bool)
        self._tables: dict[int, Integers] = {}  # by the number of their first tooth / 128

    def is_full(self) -> bool:
        """Says whether no further meter finds room."""
        return self._count == ROWS

    def add_meters(self, most: int) -> range:
        """Returns the rows of as many further meters as find room."""
        first, self._count = self._count, min(self._count + most, ROWS)
        return range(first, self._count)

    def begin(self, rows: int | Integers, phases: int | Integers) -> None:
        """Lets meters, of which no captures are held, capture a phase behind each multiple."""
        self._phase[rows] = phases

    def add(self, rows: Integers, times: Integers) -> Flags:
        """Adds captures where they are teeth; says of each whether it is one."""
        self._news[rows] = True
        behind = times - self._phase[rows]
        teeth = behind // self.step_s  # far faster than divmod
        fits: Flags = teeth * self.step_s == behind
        if not fits.all():
            rows, teeth = rows[fits], teeth[fits]
        numbers = teeth // TEETH
        places = rows * TEETH + teeth - numbers * TEETH
        for number, own in _apart(numbers):
            self._set(number, places[own])
        return fits

    def _set(self, number: int, places: Integers) -> None:
        bits = self._tables.get(number)
        if bits is None:
            bits = self._tables[number] = np.zeros((ROWS, _OCTETS), dtype=np.uint8)
        flags = np.zeros(ROWS * TEETH, dtype=bool)
        flags[places] = True
        bits |= np.packbits(flags, bitorder="little").reshape(bits.shape)

    def clear(self, rows: Integers) -> None:
        """Forgets all captures of meters."""
        self._news[rows] = True
        for bits in self._tables.values():
            bits[rows] = 0

    def remove(self, row: int, start: int, end: int) -> None:
        """Forgets a meter's captures with ``start <= capture < end``."""
        _, times = self.times(np.array([row]), start, end)
        self._news[row] = True
        teeth = (times - self._phase[row]) // self.step_s
        for number in np.unique(teeth // TEETH).tolist():
            gone = np.zeros(TEETH, dtype=np.uint8)
            gone[teeth[teeth // TEETH == number] % TEETH] = 1
            self._tables[number][row] &= ~np.packbits(gone, bitorder="little")

    def times(self, rows: Integers, start: int, end: int) -> tuple[Integers, Integers]:
        """Returns the captures of rows in a range: whose, by its place, and when; in order."""
        low, high = start // self.step_s // TEETH, end // self.step_s // TEETH
        numbers = sorted(number for number in self._tables if low <= number <= high)
        if not numbers:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        bits = np.concatenate([self._tables[number][rows] for number in numbers], axis=1)
        place, tooth = np.nonzero(np.unpackbits(bits, axis=1, bitorder="little"))
        first = np.array(numbers, dtype=np.int64) * TEETH
        times = (first[tooth // TEETH] + tooth % TEETH) * self.step_s + self._phase[rows][place]
        inside = (times >= start) & (times < end)
        return place[inside], times[inside]

    def news(self, rows: Integers) -> Flags:
        """Says of rows whether captures came or went since it was asked last."""
        found: Flags = self._news[rows]
        self._news[rows] = False
        return found

    def teeth(self) -> int:
        """Returns how many teeth of a meter there is room for at present."""
        return len(self._tables) * TEETH

    def trim(self, before: int) -> None:
        """Forgets tables that end before an instant."""
        past = before // self.step_s // TEETH
        self._tables = {number: bits for number, bits in self._tables.items() if number >= past}


def _apart(numbers: Integers) -> Iterator[tuple[int, Flags | slice]]:
    """Yields each number once, with the places of it; mostly all are the same."""
    if len(numbers) and numbers.min() == numbers.max():
        yield int(numbers[0]), slice(None)
        return
    for number in np.unique(numbers).tolist():
        yield number, numbers == number
