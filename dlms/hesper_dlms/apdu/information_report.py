"""InformationReport 0x18: variables that a short-name meter sends unasked (IEC 62056-5-3, 8.5)."""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.write import Written
from hesper_dlms.apdu.writer import u8

INFORMATION_REPORT = 0x18


class InformationReport(NamedTuple):
    """Names and values; `current_time` is ASN.1 GeneralizedTime as it came, or None."""

    current_time: bytes | None
    reported: Written

    def to_octets(self) -> bytes:
        """Return the APDU."""
        time = self.current_time
        when = b"\x00" if time is None else b"\x01" + axdr.write_length(len(time)) + time
        return u8(INFORMATION_REPORT) + when + self.reported.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> InformationReport:
        """Read the APDU."""
        reader = Reader(octets, INFORMATION_REPORT)
        time = reader.octet_string() if reader.flag() else None
        apdu = cls(time, Written.read(reader))
        reader.end()
        return apdu
