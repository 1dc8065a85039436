"""General block transfer, receiving (IEC 62056-5-3, 7.3.13; Green Book, 9.4.6.13).

Block numbers count from 1 without a gap. A meter that pushes streams its blocks without waiting,
so a block that is missing or comes twice cannot be asked for again: the whole message is dropped.
A block 1 always begins a new message.
"""

from __future__ import annotations

from hesper_dlms.errors import DecodeError

MAX_APDU = 1 << 20
"""More than any meter pushes; what grows beyond it is dropped."""


class BlockAssembly:
    """Collects the blocks of one APDU."""

    __slots__ = ("_blocks", "_size")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether blocks wait for their last one."""
        return bool(self._blocks)

    def clear(self) -> None:
        """Forget what was collected."""
        self._blocks.clear()
        self._size = 0

    def add(self, number: int, last: bool, block: bytes) -> bytes | None:
        """Take one block; return the whole APDU when it was the last, None while more must come.

        Raises:
            DecodeError: The block is not the next one, or the whole is too large; what was
                collected is forgotten.
        """
        if number == 1:
            self.clear()
        if number != len(self._blocks) + 1:
            self.clear()
            raise DecodeError("general block transfer out of order: whole message dropped")
        self._blocks.append(block)
        self._size += len(block)
        if self._size > MAX_APDU:
            self.clear()
            raise DecodeError("general block transfer too large: whole message dropped")
        if not last:
            return None
        whole = b"".join(self._blocks)
        self.clear()
        return whole
