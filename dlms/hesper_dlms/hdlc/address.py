"""HDLC addresses (IEC 62056-46, 6.4.2): seven bits an octet, the lowest bit marks the last octet.

A client has one octet. A server has one (logical), two (logical, physical) or four (two each); the
physical part picks a meter on a shared line, the logical part a logical device within it.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms.errors import LocalError

ADDRESS_SIZES = (1, 2, 4)


class ServerAddress(NamedTuple):
    """A server address taken apart; `physical` is None in the one-octet form."""

    logical: int
    physical: int | None
    size: int


def _group(value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 7 * size:
        raise LocalError(f"{value} does not fit into {size} HDLC address octets")
    return bytes((value >> 7 * (size - 1 - place) & 0x7F) << 1 for place in range(size))


def client_octets(client_address: int) -> bytes:
    """Return the one address octet of a client (16 becomes 0x21)."""
    return bytes((_group(client_address, 1)[0] | 1,))


def server_octets(logical: int, physical: int | None = None, size: int | None = None) -> bytes:
    """Return the octets of a server address; without `size` the shortest form that fits."""
    if size is None:
        size = 1 if physical is None else 2 if max(logical, physical) < 0x80 else 4
    if size not in ADDRESS_SIZES or (size == 1) != (physical is None):
        raise LocalError(
            "a server address has 1 octet without, or 2 or 4 octets with a physical part"
        )
    octets = _group(logical, 1 if size < 4 else 2)
    if physical is not None:
        octets += _group(physical, size // 2)
    return octets[:-1] + bytes((octets[-1] | 1,))


def parse_server(octets: bytes) -> ServerAddress:
    """Take the address octets of a server apart; an unused size reads as logical alone."""
    values = [octet >> 1 for octet in octets]
    if len(values) == 2:
        return ServerAddress(values[0], values[1], 2)
    if len(values) == 4:
        return ServerAddress(values[0] << 7 | values[1], values[2] << 7 | values[3], 4)
    return ServerAddress(values[0], None, len(values))
