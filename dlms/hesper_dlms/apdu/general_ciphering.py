"""general-ciphering 0xDD: a ciphered APDU that says which key it uses (IEC 62056-5-3, 8.2.4).

    tag | transaction-id | originator | recipient | date-time | other-information
        | key-info | security control (1), invocation counter (4), ciphertext [, tag (12)]

The first five fields, each an octet-string with its length, are authenticated together with the
content, also when they are empty; general-signing begins with the same five.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u32
from hesper_dlms.errors import DecodeError

GENERAL_CIPHERING = 0xDD

GLOBAL_UNICAST_KEY = 0
GLOBAL_BROADCAST_KEY = 1
MASTER_KEY = 0
ONE_PASS = b"\x01"
"""key-parameters of C(1e, 1s, ECC CDH)."""
STATIC_UNIFIED = b"\x02"
"""key-parameters of C(0e, 2s, ECC CDH)."""


def octet_string(octets: bytes) -> bytes:
    """Return an octet-string of A-XDR without a tag: length and value."""
    return axdr.write_length(len(octets)) + octets


class GeneralHeader(NamedTuple):
    """Who protects the APDU for whom, in which transaction.

    `encoded` holds the octets as they came; what was authenticated or signed is them.
    """

    transaction_id: bytes
    originator: bytes
    recipient: bytes
    date_time: bytes = b""
    other_information: bytes = b""
    encoded: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the five fields, each with its length."""
        if self.encoded is not None:
            return self.encoded
        titles = self.originator, self.recipient
        fields = (self.transaction_id, *titles, self.date_time, self.other_information)
        return b"".join(octet_string(each) for each in fields)

    @classmethod
    def read(cls, reader: Reader) -> GeneralHeader:
        """Read the five fields."""
        begin = reader.offset
        transaction_id, originator, recipient = (reader.octet_string() for _ in range(3))
        date_time, other = reader.octet_string(), reader.octet_string()
        encoded = reader.octets[begin : reader.offset]
        return cls(transaction_id, originator, recipient, date_time, other, encoded)


class IdentifiedKey(NamedTuple):
    """A global key: 0 unicast, 1 broadcast."""

    key_id: int


class WrappedKey(NamedTuple):
    """A key wrapped with the key-encrypting key `kek_id` (0, the master key)."""

    kek_id: int
    key_ciphered_data: bytes


class AgreedKey(NamedTuple):
    """A key that both sides derive; `key_parameters` names the scheme."""

    key_parameters: bytes
    key_ciphered_data: bytes


KeyInfo = IdentifiedKey | WrappedKey | AgreedKey


def _write_key_info(key_info: KeyInfo | None) -> bytes:
    if key_info is None:
        return b"\x00"
    if isinstance(key_info, IdentifiedKey):
        return u8(1, 0, key_info.key_id)
    data = octet_string(key_info.key_ciphered_data)
    if isinstance(key_info, WrappedKey):
        return u8(1, 1, key_info.kek_id) + data
    return u8(1, 2) + octet_string(key_info.key_parameters) + data


def _read_key_info(reader: Reader) -> KeyInfo | None:
    if not reader.flag():
        return None
    choice = reader.choice(3)
    if choice == 0:
        return IdentifiedKey(reader.u8())
    if choice == 1:
        return WrappedKey(reader.u8(), reader.octet_string())
    return AgreedKey(reader.octet_string(), reader.octet_string())


class GeneralCiphering(NamedTuple):
    """The APDU taken apart, nothing verified yet. `octets` is the ciphertext and its tag."""

    header: GeneralHeader
    key_info: KeyInfo | None
    security_control: int
    invocation_counter: int
    octets: bytes

    def to_octets(self) -> bytes:
        """Return the APDU."""
        content = u8(self.security_control) + u32(self.invocation_counter) + self.octets
        return (
            u8(GENERAL_CIPHERING)
            + self.header.to_octets()
            + _write_key_info(self.key_info)
            + octet_string(content)
        )

    @classmethod
    def from_octets(cls, octets: bytes) -> GeneralCiphering:
        """Read the APDU."""
        reader = Reader(octets, GENERAL_CIPHERING)
        header, key_info = GeneralHeader.read(reader), _read_key_info(reader)
        content = reader.octet_string()
        reader.end()
        if len(content) < 5:
            raise DecodeError("a general-ciphering APDU without security header", reader.offset)
        counter = int.from_bytes(content[1:5], "big")
        return cls(header, key_info, content[0], counter, content[5:])
