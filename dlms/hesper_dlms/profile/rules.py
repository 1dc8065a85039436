"""What a meter does differently in its profile buffers."""

from __future__ import annotations

from dataclasses import dataclass

from hesper_dlms.errors import DecodeError

_NEWEST_FIRST = (2, 3)


@dataclass(frozen=True, slots=True)
class BufferRules:
    """How null-data, order and deviations of a buffer are meant.

    Args:
        wrong_sign: Deviations have the opposite sign.
        newest_first: The newest row comes first (LIFO): null-data in the clock's column is one
            period earlier than the row before it in the buffer, not later.
        null_is_padding: Null-data in other columns means that nothing was captured, instead of the
            value before.
        present_s: The meter's own time when the buffer was read, epoch seconds; None where it is
            not known. What the doubled hour holds cannot be later.
    """

    wrong_sign: bool = False
    newest_first: bool = False
    null_is_padding: bool = False
    present_s: float | None = None

    @classmethod
    def of_sort_method(cls, sort_method: int, by_clock: bool = True) -> BufferRules:
        """Return the rules of a profile's sort_method (attribute 5).

        Args:
            sort_method: 1 FIFO, 2 LIFO, 3 largest first, 4 smallest first, 5 nearest to zero, 6
                farthest from zero.
            by_clock: Whether the sort_object (attribute 6) is the clock; without a meaning for
                FIFO and LIFO.

        Raises:
            DecodeError: No such method.
        """
        if not 1 <= sort_method <= 6:
            raise DecodeError(f"there is no sort method {sort_method}")
        if sort_method > 2 and not by_clock:
            return cls()
        return cls(newest_first=sort_method in _NEWEST_FIRST)
