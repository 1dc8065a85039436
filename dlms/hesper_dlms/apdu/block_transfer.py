"""general-block-transfer 0xE0: any APDU cut into numbered blocks (IEC 62056-5-3, 8.4.10)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.errors import LocalError

GENERAL_BLOCK_TRANSFER = 0xE0

_HEAD = struct.Struct(">BBHH")


class GeneralBlockTransfer(NamedTuple):
    """One block. Numbers begin at 1; `window` is how many blocks may be sent without an answer."""

    last: bool
    streaming: bool
    window: int
    number: int
    acknowledged: int
    octets: bytes

    def to_octets(self) -> bytes:
        """Return the APDU."""
        if not 0 <= self.window <= 63:
            raise LocalError(f"a window of {self.window} does not fit six bits")
        control = self.last << 7 | self.streaming << 6 | self.window
        try:
            head = _HEAD.pack(GENERAL_BLOCK_TRANSFER, control, self.number, self.acknowledged)
        except struct.error as error:
            raise LocalError(f"a block number is out of range: {error}") from None
        return head + axdr.write_length(len(self.octets)) + self.octets

    @classmethod
    def from_octets(cls, octets: bytes) -> GeneralBlockTransfer:
        """Read the APDU."""
        reader = Reader(octets, GENERAL_BLOCK_TRANSFER)
        control, number, acknowledged = reader.u8(), reader.u16(), reader.u16()
        block = reader.octet_string()
        reader.end()
        return cls(
            bool(control & 0x80), bool(control & 0x40), control & 0x3F, number, acknowledged, block
        )
