"""Ciphered APDUs (IEC 62056-5-3, 8.2.4): service-specific glo/ded, general-glo and general-ded.

    glo/ded service   tag | length | content
    general-glo/ded   tag | title length | system title | length | content
    content           security control (1) | invocation counter (4) | ciphertext [| tag (12)]

A service-specific APDU relies on the system title agreed in the association. The security control
octet says what was done: 0x10 authenticated, 0x20 encrypted, 0x40 broadcast key, 0x80 compressed;
its low four bits name the suite.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u32
from hesper_dlms.errors import DecodeError, LocalError

GENERAL_GLO = 0xDB
GENERAL_DED = 0xDC

GLO_TAGS = {
    0x01: 0x21,  # initiate-request
    0x05: 0x25,  # read-request
    0x06: 0x26,  # write-request
    0x08: 0x28,  # initiate-response
    0x0C: 0x2C,  # read-response
    0x0D: 0x2D,  # write-response
    0x0E: 0x2E,  # confirmed-service-error
    0x16: 0x36,  # unconfirmed-write-request
    0x18: 0x38,  # information-report
    0xC0: 0xC8,  # get-request
    0xC1: 0xC9,  # set-request
    0xC2: 0xCA,  # event-notification
    0xC3: 0xCB,  # action-request
    0xC4: 0xCC,  # get-response
    0xC5: 0xCD,  # set-response
    0xC7: 0xCF,  # action-response
}
"""Plain tag → tag of the same service ciphered with the global key."""

DED_TAGS = {
    0x05: 0x45,  # read-request
    0x06: 0x46,  # write-request
    0x0C: 0x4C,  # read-response
    0x0D: 0x4D,  # write-response
    0x0E: 0x4E,  # confirmed-service-error
    0x16: 0x56,  # unconfirmed-write-request
    0x18: 0x58,  # information-report
    0xC0: 0xD0,  # get-request
    0xC1: 0xD1,  # set-request
    0xC2: 0xD2,  # event-notification
    0xC3: 0xD3,  # action-request
    0xC4: 0xD4,  # get-response
    0xC5: 0xD5,  # set-response
    0xC7: 0xD7,  # action-response
}
"""Plain tag → tag of the same service ciphered with the dedicated key."""

_SHORT_HEAD = struct.Struct(">BBBI")
_CONTENT_HEAD_OCTETS = 5
_LONG_LENGTH = 0x80
_SERVICE = frozenset((*GLO_TAGS.values(), *DED_TAGS.values()))
_GENERAL = frozenset((GENERAL_GLO, GENERAL_DED))
_DEDICATED = frozenset((GENERAL_DED, *DED_TAGS.values()))
TAGS = _SERVICE | _GENERAL
LAYER_TAGS = frozenset((0xDD, 0xDF))
"""general-ciphering and general-signing, which carry more than these."""

PLAIN_TAGS = {ciphered: plain for tags in (GLO_TAGS, DED_TAGS) for plain, ciphered in tags.items()}
"""Service-specific ciphered tag → the tag its content must have."""


def write_service(tag: int, control: int, counter: int, octets: bytes) -> bytes:
    """Return a service-specific APDU; the same as `Ciphered.to_octets` in half the time."""
    length = _CONTENT_HEAD_OCTETS + len(octets)
    if length >= _LONG_LENGTH:
        return Ciphered(tag, control, counter, octets).to_octets()
    return _SHORT_HEAD.pack(tag, length, control, counter) + octets


class Ciphered(NamedTuple):
    """A ciphered APDU taken apart, nothing verified yet. `octets` is the ciphertext and its tag.

    `system_title` is None in service-specific APDUs.
    """

    tag: int
    security_control: int
    invocation_counter: int
    octets: bytes
    system_title: bytes | None = None

    @property
    def dedicated(self) -> bool:
        """Whether the dedicated key was used."""
        return self.tag in _DEDICATED

    def to_octets(self) -> bytes:
        """Return the APDU."""
        if (self.system_title is None) != (self.tag in _SERVICE):
            raise LocalError("a system title travels in general-ciphered APDUs and only there")
        body = u8(self.security_control) + u32(self.invocation_counter) + self.octets
        title = self.system_title
        head = b"" if title is None else axdr.write_length(len(title)) + title
        return u8(self.tag) + head + axdr.write_length(len(body)) + body

    @classmethod
    def from_octets(cls, octets: bytes) -> Ciphered:
        """Read the APDU."""
        # Nearly every ciphered APDU that comes is a short service: 2 µs less than by a reader.
        if len(octets) >= _SHORT_HEAD.size:
            tag, length, control, counter = _SHORT_HEAD.unpack_from(octets)
            if tag in _SERVICE and length == len(octets) - 2 and length < _LONG_LENGTH:
                return cls(tag, control, counter, octets[_SHORT_HEAD.size :])
        reader = Reader(octets)
        tag = reader.u8()
        if tag not in TAGS:
            raise DecodeError(f"0x{tag:02X} is no ciphered APDU", 0)
        title = reader.octet_string() if tag in _GENERAL else None
        body = reader.octet_string()
        reader.end()
        if len(body) < 5:
            raise DecodeError("a ciphered APDU without security header", reader.offset)
        return cls(tag, body[0], int.from_bytes(body[1:5], "big"), body[5:], title)
