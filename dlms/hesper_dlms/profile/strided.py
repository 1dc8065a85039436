"""One field of many rows of equal size, taken out at C speed.

The octets of a field are copied position by position with strided slices, in the machine's own
order, and read as one `array`.
"""

from __future__ import annotations

import sys
from array import array
from typing import NamedTuple

_LITTLE = sys.byteorder == "little"


class Field(NamedTuple):
    """Where one field stands in rows of equal size.

    Args:
        octets: Where the rows are.
        start: Offset of the field in the first row.
        stride: Size of a row.
        rows: How many rows.
    """

    octets: bytes
    start: int
    stride: int
    rows: int

    def numbers(self, code: str, size: int = 0) -> list[int]:
        """Return the field of every row as a big-endian number.

        Args:
            code: The `array` type code.
            size: Octets of the field, unsigned; 0 for the item size of the code.
        """
        found = array(code)
        width = found.itemsize
        size = size or width
        end = self.start + self.rows * self.stride
        raw = bytearray(width * self.rows)
        varies = False
        for index in reversed(range(size)):
            octets = self.octets[self.start + index : end : self.stride]
            place = size - 1 - index if _LITTLE else width - size + index
            raw[place::width] = octets
            varies = varies or octets.count(octets[:1]) != self.rows
        found.frombytes(raw)
        return found.tolist() if varies else found[:1].tolist() * self.rows

    def slices(self, size: int) -> list[bytes]:
        """Return the `size` octets of the field of every row."""
        end = self.start + self.rows * self.stride
        return [self.octets[at : at + size] for at in range(self.start, end, self.stride)]

    def shifted(self, by: int) -> Field:
        """Return the field that stands `by` octets further on in every row."""
        return self._replace(start=self.start + by)
