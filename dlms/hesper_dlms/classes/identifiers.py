"""Object identifiers and IPv4 addresses: kinds of value with an encoding of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, ClassVar

from hesper_dlms import axdr
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, LocalError

_LONGEST_IDENTIFIER = 64


@dataclass(frozen=True, slots=True)
class ObjectIdentifier:
    """A name of application context or mechanism: the arcs, such as (2, 16, 756, 5, 8, 1, 1).

    It travels as octet-string (BER, without tag and length) or as a structure of the arcs.
    """

    name: ClassVar[str] = "object identifier"

    def decode(self, data: Data) -> tuple[int, ...]:
        """Return the arcs."""
        if isinstance(data.value, tuple):
            arcs = tuple(item.as_int() for item in data.value)
            if not _is_identifier(arcs):
                raise DecodeError(f"{arcs} is no object identifier")
            return arcs
        octets = data.as_octets()
        if len(octets) > 2 and octets[0] == 0x06 and octets[1] == len(octets) - 2:
            octets = octets[2:]  # some meters leave BER's tag and length in
        return _arcs(octets)

    def encode(self, value: Any) -> Data:
        """Return the octet-string."""
        if not isinstance(value, tuple) or not _is_identifier(value):
            raise LocalError(f"{value!r} is no object identifier")
        octets = _base_128([40 * value[0] + value[1], *value[2:]])
        return axdr.octet_string(octets)


def _is_identifier(arcs: tuple[Any, ...]) -> bool:
    numbers = all(isinstance(arc, int) and 0 <= arc < 1 << 28 for arc in arcs)
    return numbers and 2 <= len(arcs) <= 15 and arcs[0] <= 2 and (arcs[1] < 40 or arcs[0] == 2)


def _arcs(octets: bytes) -> tuple[int, ...]:
    if not octets or octets[-1] & 0x80 or len(octets) > _LONGEST_IDENTIFIER:
        raise DecodeError("an object identifier is cut short or too long")
    numbers = [0]
    for octet in octets:
        numbers[-1] = numbers[-1] << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(0)
    first = min(numbers[0] // 40, 2)
    arcs = (first, numbers[0] - 40 * first, *numbers[1:-1])
    if not _is_identifier(arcs):
        raise DecodeError("an object identifier has arcs that are too many or too large")
    return arcs


def _base_128(numbers: Iterable[int]) -> bytes:
    octets = bytearray()
    for number in numbers:
        shift = max(number.bit_length() - 1, 0) // 7 * 7
        while shift:
            octets.append(0x80 | number >> shift & 0x7F)
            shift -= 7
        octets.append(number & 0x7F)
    return bytes(octets)


@dataclass(frozen=True, slots=True)
class Ipv4:
    """An IPv4 address as double-long-unsigned; some meters write four octets."""

    name: ClassVar[str] = "double-long-unsigned (IPv4 address)"

    def decode(self, data: Data) -> IPv4Address:
        """Return the address."""
        try:
            if isinstance(data.value, bytes):
                return IPv4Address(data.value)
            return IPv4Address(data.as_int())
        except ValueError as error:
            raise DecodeError(f"no IPv4 address: {error}") from None

    def encode(self, value: Any) -> Data:
        """Return the number."""
        if not isinstance(value, IPv4Address):
            raise LocalError(f"{value!r} is no IPv4 address")
        return axdr.double_long_unsigned(int(value))
