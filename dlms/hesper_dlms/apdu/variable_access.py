"""Variable-Access-Specification: what short-name services are asked about (IEC 62056-5-3, 8.5).

    02 | name                               variable-name: one attribute or method
    04 | name | selector | parameter        parameterized-access: a selection, or a method to invoke
    05 | block number                       block-number-access: asks for the next block of a read
    06 | last | block number | raw data     read-data-block-access: a block of a long read request
    07 | last | block number                write-data-block-access: a block of a long write request

A name is 16 bits. Blocks are numbered from 1 in 16 bits; detailed-access [3] is not used by COSEM.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8, u16
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError

_NAME = 2
_PARAMETERIZED = 4
_BLOCK_NUMBER = 5
_READ_BLOCK = 6
_WRITE_BLOCK = 7


class VariableName(NamedTuple):
    """An attribute or method by its short name."""

    name: int

    def to_octets(self) -> bytes:
        """Return the alternative with its tag."""
        return u8(_NAME) + u16(self.name)


class ParameterizedAccess(NamedTuple):
    """A short name with what to select of it, or a method with its parameters (selector 0)."""

    name: int
    selector: int
    parameter: Data

    def to_octets(self) -> bytes:
        """Return the alternative with its tag."""
        head = u8(_PARAMETERIZED) + u16(self.name) + u8(self.selector)
        return head + axdr.encode(self.parameter)


class BlockNumberAccess(NamedTuple):
    """Asks for the block after `number`, which it acknowledges."""

    number: int

    def to_octets(self) -> bytes:
        """Return the alternative with its tag."""
        return u8(_BLOCK_NUMBER) + u16(self.number)


class ReadDataBlockAccess(NamedTuple):
    """A slice of the list of specifications of a read request too long for one APDU."""

    last: bool
    number: int
    octets: bytes

    def to_octets(self) -> bytes:
        """Return the alternative with its tag."""
        head = u8(_READ_BLOCK, self.last) + u16(self.number)
        return head + axdr.write_length(len(self.octets)) + self.octets


class WriteDataBlockAccess(NamedTuple):
    """Announces a slice of a long write request, which is the octet-string in the list of data."""

    last: bool
    number: int

    def to_octets(self) -> bytes:
        """Return the alternative with its tag."""
        return u8(_WRITE_BLOCK, self.last) + u16(self.number)


VariableAccess = (
    VariableName
    | ParameterizedAccess
    | BlockNumberAccess
    | ReadDataBlockAccess
    | WriteDataBlockAccess
)


def read_access(reader: Reader) -> VariableAccess:
    """Read one alternative."""
    at = reader.offset
    tag = reader.u8()
    if tag == _NAME:
        return VariableName(reader.u16())
    if tag == _PARAMETERIZED:
        return ParameterizedAccess(reader.u16(), reader.u8(), reader.data())
    if tag == _BLOCK_NUMBER:
        return BlockNumberAccess(reader.u16())
    if tag == _READ_BLOCK:
        return ReadDataBlockAccess(reader.flag(), reader.u16(), reader.octet_string())
    if tag == _WRITE_BLOCK:
        return WriteDataBlockAccess(reader.flag(), reader.u16())
    raise DecodeError(f"variable access {tag} is not used by COSEM", at)


def write_accesses(accesses: tuple[VariableAccess, ...]) -> bytes:
    """Return the list of specifications as requests carry it."""
    return axdr.write_length(len(accesses)) + b"".join(each.to_octets() for each in accesses)


def read_accesses(reader: Reader) -> tuple[VariableAccess, ...]:
    """Read a list of specifications."""
    return tuple(read_access(reader) for _ in range(reader.count()))
