"""Integer streams: frame of reference, smallest width, octets in planes.

A stream of n integers is: width (1 octet, 0 to 8; plus 0x40 if the minimum is not 0) · that
minimum (zigzag LEB128) · for each octet of the width, least significant first, the n octets of that
rank. Width 0: every value equals the minimum and nothing follows. Planes of equal rank compress far
better than interleaved integers. Arithmetic is modulo 2**64, so differences of any two signed
64-bit values fit.
"""

import sys
from array import array
from collections.abc import Sequence

from hesper_contracts.frame import Refused

LOW = 0x40
_MASK = (1 << 64) - 1
_TYPECODES = ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))


def uvarint(value: int) -> bytes:
    """Return an unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> bytes:
    """Return a signed 64-bit integer as zigzag LEB128."""
    return uvarint((value << 1) if value >= 0 else ((-value << 1) - 1))


def stream(values: Sequence[int]) -> bytes:
    """Return the stream of integers (signed, at most 65 bits apart)."""
    if not values:
        return b"\x00"
    low = min(values)
    width = (min(max(values) - low, _MASK).bit_length() + 7) // 8
    # The minimum travels modulo 2**64, as a signed 64-bit integer.
    signed_low = ((low + (1 << 63)) & _MASK) - (1 << 63)
    head = bytes([width | LOW]) + zigzag(signed_low) if low else bytes([width])
    if width == 0:
        return head
    size, typecode = next(pair for pair in _TYPECODES if pair[0] >= width)
    octets = array(typecode, [(value - low) & _MASK for value in values])
    raw = _little_endian(octets)
    return head + b"".join(raw[rank::size] for rank in range(width))


def _little_endian(octets: "array[int]") -> bytes:
    if sys.byteorder == "big":
        octets.byteswap()
    return octets.tobytes()


class Cursor:
    """Walks over octets and never past their end."""

    def __init__(self, octets: bytes | memoryview) -> None:
        self.view = memoryview(octets)
        self.offset = 0

    def take(self, count: int) -> memoryview:
        """Return the next octets.

        Raises:
            Refused: fewer octets are left.
        """
        end = self.offset + count
        if end > len(self.view):
            raise Refused(f"cut off at octet {len(self.view)}, {end} expected")
        taken = self.view[self.offset : end]
        self.offset = end
        return taken

    def texts(self, count: int) -> bytes:
        """Return the octets of the next texts, each after one octet of length.

        Raises:
            Refused: fewer octets are left.
        """
        view = self.view[self.offset :]
        if count > len(view):
            raise Refused(f"{count} texts announced in {len(view)} octets")
        if count:
            each = 1 + view[0]
            if each * count <= len(view) and bytes(view[: each * count : each]) == (
                view[:1].tobytes() * count
            ):
                return bytes(self.take(each * count))  # all have the same length
        end = 0
        for _ in range(count):
            end += 1 + view[end] if end < len(view) else 1
        return bytes(self.take(end))

    def octet(self) -> int:
        """Return the next octet as a number; raises as `take` does."""
        offset = self.offset
        if offset >= len(self.view):
            raise Refused(f"cut off at octet {len(self.view)}, {offset + 1} expected")
        self.offset = offset + 1
        return self.view[offset]

    def peek(self) -> int:
        """Return the next octet as a number and stay before it; -1 at the end."""
        return self.view[self.offset] if self.offset < len(self.view) else -1

    def uvarint(self) -> int:
        """Return the next unsigned LEB128 of at most 64 bits."""
        value = shift = 0
        while shift < 70:
            octet = self.octet()
            value |= (octet & 0x7F) << shift
            if octet < 0x80:
                return value & _MASK
            shift += 7
        raise Refused(f"variable-length integer too long at octet {self.offset}")

    def zigzag(self) -> int:
        """Return the next zigzag LEB128."""
        coded = self.uvarint()
        return (coded >> 1) ^ -(coded & 1)
