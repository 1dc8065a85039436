"""What a meter sends unasked: data-notification 0x0F and event-notification 0xC2 (IEC 62056-5-3).

The date-time of a data-notification is an octet-string: a length and then 0 or 12 octets. Kaifa
meters put the tag 0x09 in front of that length; both are understood. The body stays encoded octets,
because some meters' bodies are not quite A-XDR: `hesper_dlms.push` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from hesper_dlms import axdr
from hesper_dlms.apdu.descriptors import CosemAttribute
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u32
from hesper_dlms.errors import DecodeError

DATA_NOTIFICATION = 0x0F
EVENT_NOTIFICATION = 0xC2


@dataclass(frozen=True, slots=True)
class DataNotification:
    """A push: a number, the 12 octets of the sending time or None, and the body's octets."""

    long_invoke_id: int
    date_time: bytes | None
    body: bytes

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = bytes((DATA_NOTIFICATION,)) + u32(self.long_invoke_id)
        time = self.date_time or b""
        return head + axdr.write_length(len(time)) + time + self.body

    @classmethod
    def from_octets(cls, octets: bytes) -> DataNotification:
        """Read the APDU; the body is everything behind the date-time."""
        reader = Reader(octets, DATA_NOTIFICATION)
        number = reader.u32()
        if octets[reader.offset : reader.offset + 2] == b"\x09\x0c":
            reader.u8()
        time = reader.octet_string()
        if len(time) not in (0, 12):
            raise DecodeError(f"a date-time has 12 octets, not {len(time)}", reader.offset)
        return cls(number, time or None, reader.rest())


@dataclass(frozen=True, slots=True)
class EventNotification:
    """One attribute's value, sent unasked; `octets` is the encoded value."""

    date_time: bytes | None
    attribute: CosemAttribute
    octets: bytes

    def to_octets(self) -> bytes:
        """Return the APDU."""
        time = self.date_time
        when = b"\x00" if time is None else b"\x01" + axdr.write_length(len(time)) + time
        return bytes((EVENT_NOTIFICATION,)) + when + self.attribute.to_octets() + self.octets

    @classmethod
    def from_octets(cls, octets: bytes) -> EventNotification:
        """Read the APDU."""
        reader = Reader(octets, EVENT_NOTIFICATION)
        time = reader.octet_string() if reader.flag() else None
        apdu = cls(time, CosemAttribute.read(reader), reader.data_octets())
        reader.end()
        return apdu
