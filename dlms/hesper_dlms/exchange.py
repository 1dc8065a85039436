"""How a client's work runs without IO: generators that a driver feeds.

An exchange yields octets to write (`b""`: nothing, only wait) and is sent the octets that arrived,
in any chunks. The driver sends `b""` when nothing arrived within its time-out: a link then repeats
what may be repeated, or raises `LinkError`. A driver is ten lines over a socket or a serial port;
it also bounds the whole exchange in time, because a peer that chatters for ever never falls
silent.

    octets = next(exchange)
    try:
        while True:
            if octets:
                port.write(octets)
            octets = exchange.send(port.read_some(timeout))
    except StopIteration as end:
        return end.value
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, TypeAlias, TypeVar

Result = TypeVar("Result")

Exchange: TypeAlias = Generator[bytes, bytes, Result]
"""Yields octets to write, is sent octets that arrived (empty: silence), returns its result."""


class ClientLink(Protocol):
    """What carries whole APDUs between a client and one meter."""

    def connect(self) -> Exchange[None]:
        """Open the link; a link that is open already is opened anew."""
        ...

    def request(self, apdu: bytes) -> Exchange[bytes]:
        """Send an APDU and return the next one that comes."""
        ...

    def request_all(self, apdus: Sequence[bytes]) -> Exchange[bytes]:
        """Send APDUs in a row, which the meter takes without a word; return the next that comes."""
        ...

    def send(self, apdu: bytes) -> Exchange[None]:
        """Send an APDU that the meter does not answer."""
        ...

    def receive(self) -> Exchange[bytes]:
        """Return the next APDU that comes, sending no APDU of our own."""
        ...

    def disconnect(self) -> Exchange[None]:
        """Close the link; never raises because the other side is silent."""
        ...

    def take_notifications(self) -> list[bytes]:
        """Return the unsolicited APDUs that the link itself set apart, oldest first."""
        ...
