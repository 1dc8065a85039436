"""I frames on their way out: numbered, kept until they are acknowledged (ISO/IEC 13239, 6.11).

    waiting  --send-->  under way (at most `size` frames)  --acknowledge-->  gone

What was sent and is not acknowledged when the other side polls again goes out again, from the first
frame that it misses. Only the last frame of a turn has the final bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from hesper_dlms.hdlc.frames import information_control
from hesper_dlms.hdlc.parameters import LARGEST_WINDOW

_NUMBERS = 7

Encode = Callable[[int, bytes, bool], bytes]
"""Makes a frame of control octet, information field and segmentation bit."""


class _Sent(NamedTuple):
    number: int
    information: bytes
    segmented: bool


class SendWindow:
    """One direction of one connection.

    Args:
        size: Frames that may be under way at a time, 1 to 7.
    """

    __slots__ = ("_number", "_size", "_under_way", "_waiting")

    def __init__(self, size: int) -> None:
        self._size = max(1, min(size, LARGEST_WINDOW))
        self._number = 0
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._under_way: deque[_Sent] = deque()

    def queue(self, parts: Iterable[tuple[bytes, bool]]) -> None:
        """Let information fields wait, each with its segmentation bit."""
        self._waiting.extend(parts)

    def clear(self) -> None:
        """Forget everything; the numbers go on."""
        self._waiting.clear()
        self._under_way.clear()

    def acknowledge(self, expected: int) -> None:
        """Take the N(R) of the other side; a number that was never sent is passed over."""
        numbers = [sent.number for sent in self._under_way]
        if expected == self._number:
            self._under_way.clear()
        elif expected in numbers:
            for _ in range(numbers.index(expected)):
                self._under_way.popleft()

    def __bool__(self) -> bool:
        return bool(self._waiting or self._under_way)

    def send(self, received: int, encode: Encode) -> bytes:
        """Return the frames of a turn: what is not acknowledged again, then what waits.

        Args:
            received: N(R) to send along.
            encode: Makes the frames.
        """
        while self._waiting and len(self._under_way) < self._size:
            self._under_way.append(_Sent(self._number, *self._waiting.popleft()))
            self._number = self._number + 1 & _NUMBERS
        last = len(self._under_way) - 1
        return b"".join(
            encode(information_control(number, received, at == last), information, segmented)
            for at, (number, information, segmented) in enumerate(self._under_way)
        )
