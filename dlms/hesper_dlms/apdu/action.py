"""ACTION (IEC 62056-5-3, 8.4.7): action-request 0xC3 and action-response 0xC7.

Parameters and return values are encoded octets; blocks (pblocks) are slices of them.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.apdu.block import DataBlock
from hesper_dlms.apdu.descriptors import CosemMethod, read_methods, write_methods
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.results import (
    ActionOutcome,
    Result,
    read_outcomes,
    read_result,
    write_outcomes,
    write_result,
)
from hesper_dlms.apdu.writer import u8, u32, write_values

REQUEST = 0xC3
RESPONSE = 0xC7


class ActionRequestNormal(NamedTuple):
    """Calls a method; `parameters` are the octets of one value or None."""

    invoke_id_and_priority: int
    method: CosemMethod
    parameters: bytes | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 1, self.invoke_id_and_priority) + self.method.to_octets()
        return head + (b"\x00" if self.parameters is None else b"\x01" + self.parameters)

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionRequestNormal:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 1)
        invoke, method = reader.u8(), CosemMethod.read(reader)
        apdu = cls(invoke, method, reader.data_octets() if reader.flag() else None)
        reader.end()
        return apdu


class ActionRequestNextBlock(NamedTuple):
    """Asks for the return value's block after `block_number`."""

    invoke_id_and_priority: int
    block_number: int

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 2, self.invoke_id_and_priority)
        return head + u32(self.block_number)

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionRequestNextBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 2)
        apdu = cls(reader.u8(), reader.u32())
        reader.end()
        return apdu


class ActionRequestWithList(NamedTuple):
    """Calls several methods; one encoded value for each, null-data where there is none."""

    invoke_id_and_priority: int
    methods: tuple[CosemMethod, ...]
    parameters: tuple[bytes, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 3, self.invoke_id_and_priority)
        return head + write_methods(self.methods) + write_values(self.parameters)

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionRequestWithList:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 3)
        apdu = cls(reader.u8(), read_methods(reader), reader.values())
        reader.end()
        return apdu


class ActionRequestFirstBlock(NamedTuple):
    """Begins to call a method whose parameters come in blocks."""

    invoke_id_and_priority: int
    method: CosemMethod
    block: DataBlock

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 4, self.invoke_id_and_priority)
        return head + self.method.to_octets() + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionRequestFirstBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 4)
        apdu = cls(reader.u8(), CosemMethod.read(reader), DataBlock.read(reader))
        reader.end()
        return apdu


class ActionRequestWithListFirstBlock(NamedTuple):
    """Begins to call several methods; the list of their parameters comes in blocks."""

    invoke_id_and_priority: int
    methods: tuple[CosemMethod, ...]
    block: DataBlock

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(REQUEST, 5, self.invoke_id_and_priority)
        return head + write_methods(self.methods) + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionRequestWithListFirstBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 5)
        apdu = cls(reader.u8(), read_methods(reader), DataBlock.read(reader))
        reader.end()
        return apdu


class ActionRequestBlock(NamedTuple):
    """Carries the next block of the parameters."""

    invoke_id_and_priority: int
    block: DataBlock

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(REQUEST, 6, self.invoke_id_and_priority) + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionRequestBlock:
        """Read the APDU."""
        reader = Reader(octets, REQUEST, 6)
        apdu = cls(reader.u8(), DataBlock.read(reader))
        reader.end()
        return apdu


class ActionResponseNormal(NamedTuple):
    """Says how the call went (action-result) and what it returned, if anything."""

    invoke_id_and_priority: int
    result: int
    returned: Result | None = None

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE, 1, self.invoke_id_and_priority, self.result)
        return head + (b"\x00" if self.returned is None else b"\x01" + write_result(self.returned))

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionResponseNormal:
        """Read the APDU; meters that leave out the empty return value are understood."""
        reader = Reader(octets, RESPONSE, 1)
        invoke, result = reader.u8(), reader.u8()
        absent = reader.offset == len(octets) or not reader.flag()
        apdu = cls(invoke, result, None if absent else read_result(reader))
        reader.end()
        return apdu


class ActionResponseBlock(NamedTuple):
    """Carries one block of a long return value."""

    invoke_id_and_priority: int
    block: DataBlock

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(RESPONSE, 2, self.invoke_id_and_priority) + self.block.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionResponseBlock:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 2)
        apdu = cls(reader.u8(), DataBlock.read(reader))
        reader.end()
        return apdu


class ActionResponseWithList(NamedTuple):
    """Says how each call went and what it returned, in the order of the request."""

    invoke_id_and_priority: int
    outcomes: tuple[ActionOutcome, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(RESPONSE, 3, self.invoke_id_and_priority) + write_outcomes(self.outcomes)

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionResponseWithList:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 3)
        return cls(reader.u8(), read_outcomes(reader.rest()))


class ActionResponseNextBlock(NamedTuple):
    """Acknowledges a block of the parameters and asks for the next."""

    invoke_id_and_priority: int
    block_number: int

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(RESPONSE, 4, self.invoke_id_and_priority)
        return head + u32(self.block_number)

    @classmethod
    def from_octets(cls, octets: bytes) -> ActionResponseNextBlock:
        """Read the APDU."""
        reader = Reader(octets, RESPONSE, 4)
        apdu = cls(reader.u8(), reader.u32())
        reader.end()
        return apdu


ActionRequest = (
    ActionRequestNormal
    | ActionRequestNextBlock
    | ActionRequestWithList
    | ActionRequestFirstBlock
    | ActionRequestWithListFirstBlock
    | ActionRequestBlock
)
ActionResponse = (
    ActionResponseNormal | ActionResponseBlock | ActionResponseWithList | ActionResponseNextBlock
)
