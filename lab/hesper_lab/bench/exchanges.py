"""One client and one server in one process: octets of the one go straight to the other."""

from __future__ import annotations

from typing import Protocol, TypeVar

from hesper_dlms.exchange import Exchange

Result = TypeVar("Result")


class Answering(Protocol):
    """What answers octets with octets: a server's connection."""

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send."""
        ...


def drive(exchange: Exchange[Result], server: Answering) -> Result:
    """Run a client's exchange against a server and return its result."""
    octets = next(exchange)
    try:
        while True:
            octets = exchange.send(server.receive(octets))
    except StopIteration as end:
        result: Result = end.value
        return result
