"""general-signing 0xDF: an APDU with its digital signature (IEC 62056-5-3, 8.2.4).

    tag | transaction-id | originator | recipient | date-time | other-information | content
        | signature

The content is an APDU, plain or ciphered. Every field in front of the signature is signed, lengths
included (Green Book, figure of the general-signing APDU). Some implementations sign the content
without its length; the two cannot be confused where the content begins with an octet from 0xC0 on,
as no length does.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu.general_ciphering import GeneralHeader, octet_string
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8

GENERAL_SIGNING = 0xDF


class GeneralSigning(NamedTuple):
    """The APDU taken apart, nothing verified yet. `signature` is r | s."""

    header: GeneralHeader
    content: bytes
    signature: bytes

    def signed(self, *, content_length: bool = True) -> bytes:
        """Return the octets that the signature is over."""
        content = octet_string(self.content) if content_length else self.content
        return self.header.to_octets() + content

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(GENERAL_SIGNING) + self.signed() + octet_string(self.signature)

    @classmethod
    def from_octets(cls, octets: bytes) -> GeneralSigning:
        """Read the APDU."""
        reader = Reader(octets, GENERAL_SIGNING)
        header = GeneralHeader.read(reader)
        apdu = cls(header, reader.octet_string(), reader.octet_string())
        reader.end()
        return apdu
