"""Values that are too long for one APDU, on the meter's side (IEC 62056-5-3, block transfer).

Outgoing: the value waits here and leaves in blocks, each asked for by the number of the one before.
Incoming: blocks gather until the last. Numbers begin at 1; a wrong one ends the transfer.
"""

from __future__ import annotations

from hesper_dlms.apdu import CosemAttribute, CosemMethod, DataBlock
from hesper_dlms.association import MAX_VALUE


class Outgoing:
    """A long value on its way out; `size` is the largest block in octets."""

    __slots__ = ("_number", "_octets", "_size")

    def __init__(self, octets: bytes, size: int) -> None:
        self._octets = octets
        self._size = size
        self._number = 0

    def next_block(self, acknowledged: int) -> DataBlock | None:
        """Return the block behind number `acknowledged`; None when that was not the last sent."""
        if acknowledged != self._number:
            return None
        begin = self._number * self._size
        self._number += 1
        last = begin + self._size >= len(self._octets)
        return DataBlock(last, self._number, self._octets[begin : begin + self._size])


class Incoming:
    """A long value on its way in, and what it is for."""

    __slots__ = ("_expected", "_parts", "_size", "target")

    def __init__(self, target: CosemAttribute | CosemMethod) -> None:
        self.target = target
        self._parts: list[bytes] = []
        self._size = 0
        self._expected = 1

    def add(self, block: DataBlock) -> bool:
        """Take a block; False when it is not the next one or the value grows too large."""
        self._size += len(block.octets)
        if block.number != self._expected or self._size > MAX_VALUE or not block.octets:
            return False
        self._expected += 1
        self._parts.append(block.octets)
        return True

    def octets(self) -> bytes:
        """Return the whole value."""
        return b"".join(self._parts)
