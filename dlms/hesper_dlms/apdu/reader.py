"""A cursor over the octets of one APDU: every read is bounds-checked and fails as `DecodeError`."""

from __future__ import annotations

from hesper_dlms import axdr
from hesper_dlms.errors import DecodeError


class Reader:
    """Reads an APDU from its first octet to its last."""

    __slots__ = ("_budget", "octets", "offset")

    def __init__(self, octets: bytes, *start: int) -> None:
        """Begin behind the octets `start`, which must stand at the beginning (tag and choice)."""
        self.octets = octets
        self.offset = len(start)
        self._budget = axdr.Budget()
        if octets[: len(start)] != bytes(start):
            raise DecodeError(f"expected an APDU that begins {bytes(start).hex()}", 0)

    def take(self, size: int) -> bytes:
        """Return the next `size` octets."""
        octets, self.offset = axdr.read_octets(self.octets, self.offset, size)
        return octets

    def u8(self) -> int:
        """Return the next octet."""
        try:
            octet = self.octets[self.offset]
        except IndexError:
            raise DecodeError("1 octets announced, 0 left", self.offset) from None
        self.offset += 1
        return octet

    def u16(self) -> int:
        """Return an unsigned integer of two octets."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """Return an unsigned integer of four octets."""
        return int.from_bytes(self.take(4), "big")

    def flag(self) -> bool:
        """Return a boolean or the presence of an optional field: one octet, 0 is false."""
        return self.u8() != 0

    def choice(self, count: int) -> int:
        """Return the octet that picks one of `count` alternatives."""
        picked = self.u8()
        if picked >= count:
            raise DecodeError(f"alternative {picked} is not defined here", self.offset - 1)
        return picked

    def count(self) -> int:
        """Return the number of items of a list; at least one octet of each must be there."""
        count, self.offset = axdr.read_length(self.octets, self.offset)
        if count > len(self.octets) - self.offset:
            raise DecodeError(f"{count} items announced, too few octets left", self.offset)
        return count

    def octet_string(self) -> bytes:
        """Return the octets behind a length."""
        length, self.offset = axdr.read_length(self.octets, self.offset)
        return self.take(length)

    def data(self) -> axdr.Data:
        """Return the A-XDR value that comes next."""
        data, self.offset = axdr.decode_prefix(self.octets, self.offset, self._budget)
        return data

    def data_octets(self) -> bytes:
        """Return the octets of the A-XDR value that comes next, after checking them."""
        start = self.offset
        self.data()
        return self.octets[start : self.offset]

    def values(self) -> tuple[bytes, ...]:
        """Return the octets of each A-XDR value of a list."""
        return tuple(self.data_octets() for _ in range(self.count()))

    def rest(self) -> bytes:
        """Return everything that is left."""
        octets = self.octets[self.offset :]
        self.offset = len(self.octets)
        return octets

    def end(self) -> None:
        """Check that nothing is left."""
        if self.offset != len(self.octets):
            left = len(self.octets) - self.offset
            raise DecodeError(f"{left} octets too many behind the APDU", self.offset)
