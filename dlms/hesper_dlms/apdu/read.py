"""Read (IEC 62056-5-3, 8.5; Green Book, 9.3.14): read-request 0x05 and read-response 0x0C.

Both are lists: one specification for each variable, one result for each, in the same order. Values
stay encoded octets, as in GET. There is no invoke-id: one request is under way at a time.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.results import Result, write_result
from hesper_dlms.apdu.variable_access import VariableAccess, read_accesses, write_accesses
from hesper_dlms.apdu.writer import u8, u16

READ_REQUEST = 0x05
READ_RESPONSE = 0x0C

_DATA, _ERROR, _BLOCK, _BLOCK_NUMBER = range(4)


class DataBlockResult(NamedTuple):
    """One block of a long response: `octets` is a slice of its list of results."""

    last: bool
    number: int
    octets: bytes

    def to_octets(self) -> bytes:
        """Return the alternative with its tag."""
        head = u8(_BLOCK, self.last) + u16(self.number)
        return head + axdr.write_length(len(self.octets)) + self.octets


class BlockNumber(NamedTuple):
    """Acknowledges one block of a long request."""

    number: int

    def to_octets(self) -> bytes:
        """Return the alternative with its tag, which is that of a read-response."""
        return u8(_BLOCK_NUMBER) + u16(self.number)


ReadResult = Result | DataBlockResult | BlockNumber
"""The octets of a value, a data-access-result, a block or the acknowledgement of one."""


class ReadRequest(NamedTuple):
    """Asks for variables, or for blocks of them."""

    accesses: tuple[VariableAccess, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(READ_REQUEST) + write_accesses(self.accesses)

    @classmethod
    def from_accesses(cls, octets: bytes) -> ReadRequest:
        """Read what the blocks of a long request add up to: its list of specifications."""
        return cls.from_octets(u8(READ_REQUEST) + octets)

    @classmethod
    def from_octets(cls, octets: bytes) -> ReadRequest:
        """Read the APDU."""
        reader = Reader(octets, READ_REQUEST)
        apdu = cls(read_accesses(reader))
        reader.end()
        return apdu


class ReadResponse(NamedTuple):
    """Carries one result for each specification."""

    results: tuple[ReadResult, ...]

    def to_octets(self) -> bytes:
        """Return the APDU."""
        return u8(READ_RESPONSE) + self.results_octets()

    def results_octets(self) -> bytes:
        """Return the list of results: what the blocks of a long response are slices of."""
        return axdr.write_length(len(self.results)) + b"".join(map(_write_result, self.results))

    @classmethod
    def from_results(cls, octets: bytes) -> ReadResponse:
        """Read what the blocks of a long response add up to."""
        return cls.from_octets(u8(READ_RESPONSE) + octets)

    @classmethod
    def from_octets(cls, octets: bytes) -> ReadResponse:
        """Read the APDU; a single value is everything that is left, decoded by the caller."""
        reader = Reader(octets, READ_RESPONSE)
        if octets[1:3] == b"\x01\x00":
            reader.take(2)
            return cls((reader.rest(),))
        results = tuple(_read_result(reader) for _ in range(reader.count()))
        reader.end()
        return cls(results)


def _write_result(result: ReadResult) -> bytes:
    if isinstance(result, DataBlockResult | BlockNumber):
        return result.to_octets()
    return write_result(result)


def _read_result(reader: Reader) -> ReadResult:
    choice = reader.choice(4)
    if choice == _DATA:
        return reader.data_octets()
    if choice == _ERROR:
        return reader.u8()
    if choice == _BLOCK:
        return DataBlockResult(reader.flag(), reader.u16(), reader.octet_string())
    return BlockNumber(reader.u16())
