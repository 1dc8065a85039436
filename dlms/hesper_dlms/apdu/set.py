"""SET (IEC 62056-5-3, 8.4.6): set-request 0xC1 and set-response 0xC5, each with its choices.

Values are encoded octets; blocks are slices of them.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.block import DataBlock
from hesper_dlms.apdu.descriptors import (
    AccessSelection,
    CosemAttribute,
    SelectedAttribute,
    read_attributes,
    read_selection,
    write_attributes,
    write_selection,
)
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u32, write_values

REQUEST = 0xC1
RESPONSE = 0xC5


class SetRequestNormal(NamedTuple):
    """Writes one attribute."""

    invoke_id_and_priority: int
    attribute: CosemAttribute
    octets: bytes
    selection: AccessSelection | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 1, self.invoke_id_and_priority) + self.attribute.to_octets()
        return head + write_selection(self.selection) + self.octets

    @classmethod
    def from_octets(cls, octets: bytes) -> SetRequestNormal:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 1)
        invoke, attribute = reader.u8(), CosemAttribute.read(reader)
        selection = read_selection(reader)
        value = reader.data_octets()
        reader.end()
        return cls(invoke, attribute, value, selection)


class SetRequestFirstBlock(NamedTuple):
    """Begins to write one attribute in blocks."""

    invoke_id_and_priority: int
    attribute: CosemAttribute
    block: DataBlock
    selection: AccessSelection | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 2, self.invoke_id_and_priority) + self.attribute.to_octets()
        return head + write_selection(self.selection) + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> SetRequestFirstBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 2)
        invoke, attribute = reader.u8(), CosemAttribute.read(reader)
        selection = read_selection(reader)
        apdu = cls(invoke, attribute, DataBlock.read(reader), selection)
        reader.end()
        return apdu


class SetRequestBlock(NamedTuple):
    """Carries the next block."""

    invoke_id_and_priority: int
    block: DataBlock

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(REQUEST, 3, self.invoke_id_and_priority) + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> SetRequestBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 3)
        apdu = cls(reader.u8(), DataBlock.read(reader))
        reader.end()
        return apdu


class SetRequestWithList(NamedTuple):
    """Writes several attributes; one encoded value for each."""

    invoke_id_and_priority: int
    attributes: tuple[SelectedAttribute, ...]
    values: tuple[bytes, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 4, self.invoke_id_and_priority)
        return head + write_attributes(self.attributes) + write_values(self.values)

    @classmethod
    def from_octets(cls, octets: bytes) -> SetRequestWithList:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 4)
        apdu = cls(reader.u8(), read_attributes(reader), reader.values())
        reader.end()
        return apdu


class SetRequestWithListFirstBlock(NamedTuple):
    """Begins to write several attributes; the list of their values comes in blocks."""

    invoke_id_and_priority: int
    attributes: tuple[SelectedAttribute, ...]
    block: DataBlock

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 5, self.invoke_id_and_priority)
        return head + write_attributes(self.attributes) + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> SetRequestWithListFirstBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 5)
        apdu = cls(reader.u8(), read_attributes(reader), DataBlock.read(reader))
        reader.end()
        return apdu


class SetResponseNormal(NamedTuple):
    """Says how the write went (data-access-result)."""

    invoke_id_and_priority: int
    result: int

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(RESPONSE, 1, self.invoke_id_and_priority, self.result)

    @classmethod
    def from_octets(cls, octets: bytes) -> SetResponseNormal:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 1)
        apdu = cls(reader.u8(), reader.u8())
        reader.end()
        return apdu


class SetResponseBlock(NamedTuple):
    """Acknowledges a block and asks for the next."""

    invoke_id_and_priority: int
    block_number: int

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE, 2, self.invoke_id_and_priority)
        return head + u32(self.block_number)

    @classmethod
    def from_octets(cls, octets: bytes) -> SetResponseBlock:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 2)
        apdu = cls(reader.u8(), reader.u32())
        reader.end()
        return apdu


class SetResponseLastBlock(NamedTuple):
    """Acknowledges the last block and says how the write went."""

    invoke_id_and_priority: int
    result: int
    block_number: int

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE, 3, self.invoke_id_and_priority, self.result)
        return head + u32(self.block_number)

    @classmethod
    def from_octets(cls, octets: bytes) -> SetResponseLastBlock:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 3)
        apdu = cls(reader.u8(), reader.u8(), reader.u32())
        reader.end()
        return apdu


class SetResponseLastBlockWithList(NamedTuple):
    """Acknowledges the last block and says how each write of a list went."""

    invoke_id_and_priority: int
    results: tuple[int, ...]
    block_number: int

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE, 4, self.invoke_id_and_priority)
        results = axdr.write_length(len(self.results)) + u8(*self.results)
        return head + results + u32(self.block_number)

    @classmethod
    def from_octets(cls, octets: bytes) -> SetResponseLastBlockWithList:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 4)
        apdu = cls(reader.u8(), tuple(reader.octet_string()), reader.u32())
        reader.end()
        return apdu


class SetResponseWithList(NamedTuple):
    """Says how each write went, in the order of the request."""

    invoke_id_and_priority: int
    results: tuple[int, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE, 5, self.invoke_id_and_priority)
        return head + axdr.write_length(len(self.results)) + u8(*self.results)

    @classmethod
    def from_octets(cls, octets: bytes) -> SetResponseWithList:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 5)
        apdu = cls(reader.u8(), tuple(reader.octet_string()))
        reader.end()
        return apdu


SetRequest = (
    SetRequestNormal
    | SetRequestFirstBlock
    | SetRequestBlock
    | SetRequestWithList
    | SetRequestWithListFirstBlock
)
SetResponse = (
    SetResponseNormal
    | SetResponseBlock
    | SetResponseLastBlock
    | SetResponseLastBlockWithList
    | SetResponseWithList
)
