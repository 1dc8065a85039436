"""Texts and integers out of places in octets, for many places at once by numpy.

Eight digits are an integer of 64 bits whose octets they are: one subtraction makes values of all
eight, three multiplications put them together.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from hesper_contracts.column_streams import Int64s

MOST_DIGITS = 18
"""Any number of so many digits is within 64 bits."""
_MINUS, _ZERO = b"-0"
_EIGHT = 8
_LONGEST_TEXT = 64
_Words: TypeAlias = npt.NDArray[np.uint64]
_ZEROS = np.uint64(0x3030303030303030)
_ABOVE_NINE = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_OF_FOUR = np.uint64(0x000000FF000000FF)
_UPPER_PAIRS = np.uint64(100 + (1_000_000 << 32))
_LOWER_PAIRS = np.uint64(1 + (10_000 << 32))


def gathered(octets: bytes, at: Int64s, length: int) -> npt.NDArray[np.void]:
    """Return `length` octets from each place on."""
    places = len(octets) - length + 1
    return np.ndarray((places,), f"V{length}", octets, strides=(1,))[at]


def integers(octets: bytes, starts: Int64s, ends: Int64s) -> Int64s | None:
    """Return the integers of JSON between starts and ends, none of them empty.

    None where one of them is none, or has more than `MOST_DIGITS`. In front of each place there
    are eight octets at least.
    """
    plain = np.frombuffer(octets, np.uint8)
    negative = plain[starts] == _MINUS
    signed = bool(negative.any())
    lengths = ends - starts
    if signed:
        starts = starts + negative
        lengths -= negative
    if lengths.min() < 1 or lengths.max() > MOST_DIGITS:
        return None
    if ((plain[starts] == _ZERO) & (lengths > 1)).any():
        return None
    found = _digits(octets, ends, lengths)
    if found is None:
        return None
    values = found.view(np.int64)
    return np.where(negative, -values, values) if signed else values


def _digits(octets: bytes, ends: Int64s, lengths: Int64s) -> _Words | None:
    """Return what so many digits in front of each end are worth; None where one is no digit."""
    words = gathered(octets, ends - _EIGHT, _EIGHT).view("<u8") ^ _ZEROS
    unused = ((_EIGHT - np.minimum(lengths, _EIGHT)) * _EIGHT).astype(np.uint64)
    words = words >> unused << unused
    if (((words + _ABOVE_NINE) | words) & _HIGH_BITS).any():
        return None
    words = words * np.uint64(10) + (words >> np.uint64(8))
    upper, lower = words & _OF_FOUR, (words >> np.uint64(16)) & _OF_FOUR
    values: _Words = (upper * _UPPER_PAIRS + lower * _LOWER_PAIRS) >> np.uint64(32)
    longer = np.flatnonzero(lengths > _EIGHT)
    if len(longer):
        rest = _digits(octets, ends[longer] - _EIGHT, lengths[longer] - _EIGHT)
        if rest is None:
            return None
        values[longer] += rest * np.uint64(10**_EIGHT)
    return values


def texts(octets: bytes, starts: Int64s, ends: Int64s) -> npt.NDArray[np.bytes_] | None:
    """Return the texts between starts and ends; none of them may hold an octet 0.

    None where one is very long, or the last so near the end that a longer one would not fit there.
    """
    lengths = ends - starts
    longest = int(lengths.max())
    if longest > _LONGEST_TEXT or starts[-1] + longest > len(octets):
        return None
    found = gathered(octets, starts, longest)
    if lengths.min() < longest:
        table = found.view(np.uint8).reshape(len(found), longest)
        table *= np.arange(longest) < lengths[:, np.newaxis]
    return found.view(f"S{longest}")
