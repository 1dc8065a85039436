"""What a meter sends unasked: data-notification 0x0F and event-notification 0xC2 (IEC 62056-5-3).

A data-notification that asks for it (bit 30 of its number) is answered by data-notification-confirm
0x10, which repeats the number; the confirmed form came with later editions of the standard.

The date-time of a data-notification is an octet-string: a length and then 0 or 12 octets. Kaifa
meters put the tag 0x09 in front of that length; both are understood, as no date-time is nine
octets long. The body stays encoded octets,
because some meters' bodies are not quite A-XDR: `hesper_dlms.push` reads it.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.descriptors import CosemAttribute
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u32
from hesper_dlms.errors import DecodeError

DATA_NOTIFICATION = 0x0F
DATA_NOTIFICATION_CONFIRM = 0x10
EVENT_NOTIFICATION = 0xC2


class DataNotification(NamedTuple):
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
        if octets[reader.offset : reader.offset + 2] in (b"\x09\x0c", b"\x09\x00"):
            reader.u8()
        time = reader.octet_string()
        if len(time) not in (0, 12):
            raise DecodeError(f"a date-time has 12 octets, not {len(time)}", reader.offset)
        return cls(number, time or None, reader.rest())


class DataNotificationConfirm(NamedTuple):
    """Confirms a push by its number; `date_time` is the 12 octets of when, or None."""

    long_invoke_id: int
    date_time: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        time = self.date_time or b""
        head = bytes((DATA_NOTIFICATION_CONFIRM,)) + u32(self.long_invoke_id)
        return head + axdr.write_length(len(time)) + time

    @classmethod
    def from_octets(cls, octets: bytes) -> DataNotificationConfirm:
        """Read the APDU."""
        reader = Reader(octets, DATA_NOTIFICATION_CONFIRM)
        number, time = reader.u32(), reader.octet_string()
        if len(time) not in (0, 12):
            raise DecodeError(f"a date-time has 12 octets, not {len(time)}", reader.offset)
        reader.end()
        return cls(number, time or None)


class EventNotification(NamedTuple):
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
