"""Values that are too long for one APDU, on the meter's side (IEC 62056-5-3, block transfer).

Outgoing: the value waits here and leaves in blocks, each asked for by the number of the one before.
Incoming: blocks gather until the last. Numbers begin at 1; a wrong one ends the transfer.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Generic, TypeVar

from hesper_dlms.apdu import DataBlock
from hesper_dlms.association import MAX_VALUE

Response = TypeVar("Response")


class Service(Enum):
    """Whose value is on its way out: blocks of one are never handed to the other."""

    GET = auto()
    ACTION = auto()
    READ = auto()
    """By short names."""


class Outgoing:
    """A long value on its way out; `size` is the largest block in octets, at least one."""

    __slots__ = ("_number", "_octets", "_size", "service")

    def __init__(self, service: Service, octets: bytes, size: int) -> None:
        self.service = service
        self._octets = octets
        self._size = max(size, 1)
        self._number = 0

    def next_block(self, acknowledged: int) -> DataBlock | None:
        """Return the block behind number `acknowledged`; None when that was not the last sent."""
        if acknowledged != self._number:
            return None
        begin = self._number * self._size
        self._number += 1
        last = begin + self._size >= len(self._octets)
        return DataBlock(last, self._number, self._octets[begin : begin + self._size])


class Incoming(Generic[Response]):
    """A long value on its way in.

    Args:
        finish: Makes the last response from the invoke-id-and-priority, the last block's number
            and the whole value, which is None where the transfer failed.
    """

    __slots__ = ("_expected", "_finish", "_parts", "_size")

    def __init__(self, finish: Callable[[int, int, bytes | None], Response]) -> None:
        self._finish = finish
        self._parts: list[bytes] = []
        self._size = 0
        self._expected = 1

    def add(self, block: DataBlock) -> bool:
        """Take a block; False when it is not the next one or the value grows too large."""
        self._size += len(block.octets)
        # Names may fill the first block, and a value end with the block before the last.
        moves = block.octets or block.last or block.number == 1
        if block.number != self._expected or self._size > MAX_VALUE or not moves:
            return False
        self._expected += 1
        self._parts.append(block.octets)
        return True

    def finish(self, invoke: int, number: int, complete: bool) -> Response:
        """Return the response that ends the transfer."""
        return self._finish(invoke, number, b"".join(self._parts) if complete else None)
