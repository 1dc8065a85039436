"""DataBlock: a slice of a value too long for one APDU (IEC 62056-5-3, block transfer)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.errors import LocalError

_HEAD = struct.Struct(">?I")


class DataBlock(NamedTuple):
    """One block: numbers begin at 1; `octets` is a slice of the encoded value."""

    last: bool
    number: int
    octets: bytes

    def to_octets(self) -> bytes:
        """Return last-block, block-number and raw-data."""
        if not 0 <= self.number <= 0xFFFFFFFF:
            raise LocalError(f"block number {self.number} is out of range")
        head = _HEAD.pack(self.last, self.number)
        return head + axdr.write_length(len(self.octets)) + self.octets

    @classmethod
    def read(cls, reader: Reader) -> DataBlock:
        """Read last-block, block-number and raw-data."""
        return cls(reader.flag(), reader.u32(), reader.octet_string())
