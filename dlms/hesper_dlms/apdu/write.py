"""Write (IEC 62056-5-3, 8.5): write-request 0x06, write-response 0x0D, unconfirmed-write 0x16.

A request lists what to write and then as many values. An unconfirmed one gets no answer.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.results import DataAccessResult
from hesper_dlms.apdu.variable_access import VariableAccess, read_accesses, write_accesses
from hesper_dlms.apdu.writer import u8, u16

WRITE_REQUEST = 0x06
WRITE_RESPONSE = 0x0D
UNCONFIRMED_WRITE_REQUEST = 0x16

_SUCCESS, _ERROR, _BLOCK_NUMBER = range(3)


class Written(NamedTuple):
    """Specifications and values: what a write request holds behind its tag.

    A long request's blocks are slices of its octets.
    """

    accesses: tuple[VariableAccess, ...]
    values: tuple[bytes, ...]

    def to_octets(self) -> bytes:
        """Return both lists."""
        values = axdr.write_length(len(self.values)) + b"".join(self.values)
        return write_accesses(self.accesses) + values

    @classmethod
    def read(cls, reader: Reader) -> Written:
        """Read both lists."""
        accesses = read_accesses(reader)
        return cls(accesses, tuple(reader.data_octets() for _ in range(reader.count())))

    @classmethod
    def from_octets(cls, octets: bytes) -> Written:
        """Read both lists, which fill `octets`."""
        reader = Reader(octets)
        written = cls.read(reader)
        reader.end()
        return written


class WriteRequest(NamedTuple):
    """Writes variables, or a block of them."""

    written: Written

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(WRITE_REQUEST) + self.written.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> WriteRequest:
        """Read the APDU."""
        reader = Reader(octets, WRITE_REQUEST)
        apdu = cls(Written.read(reader))
        reader.end()
        return apdu


class UnconfirmedWriteRequest(NamedTuple):
    """Writes variables and wants no answer."""

    written: Written

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(UNCONFIRMED_WRITE_REQUEST) + self.written.to_octets()

    @classmethod
    def from_octets(cls, octets: bytes) -> UnconfirmedWriteRequest:
        """Read the APDU."""
        reader = Reader(octets, UNCONFIRMED_WRITE_REQUEST)
        apdu = cls(Written.read(reader))
        reader.end()
        return apdu


class WriteBlockNumber(NamedTuple):
    """Acknowledges one block of a long write request."""

    number: int


WriteResult = int | WriteBlockNumber
"""A data-access-result (0 is success), or the acknowledgement of a block."""


class WriteResponse(NamedTuple):
    """Carries one result for each value."""

    results: tuple[WriteResult, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        head = u8(WRITE_RESPONSE) + axdr.write_length(len(self.results))
        return head + b"".join(_write_result(each) for each in self.results)

    @classmethod
    def from_octets(cls, octets: bytes) -> WriteResponse:
        """Read the APDU."""
        reader = Reader(octets, WRITE_RESPONSE)
        results = tuple(_read_result(reader) for _ in range(reader.count()))
        reader.end()
        return cls(results)


def _write_result(result: WriteResult) -> bytes:
    if isinstance(result, WriteBlockNumber):
        return u8(_BLOCK_NUMBER) + u16(result.number)
    return u8(_SUCCESS) if result == DataAccessResult.SUCCESS else u8(_ERROR, result)


def _read_result(reader: Reader) -> WriteResult:
    choice = reader.choice(3)
    if choice == _SUCCESS:
        return int(DataAccessResult.SUCCESS)
    return reader.u8() if choice == _ERROR else WriteBlockNumber(reader.u16())
