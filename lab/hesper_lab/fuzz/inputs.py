"""How one run of octets becomes the several messages that a stateful target needs."""

from __future__ import annotations

from collections.abc import Iterator

MOST_PIECES = 24


class Broken(AssertionError):
    """A promise that a target checks does not hold."""


def pieces(octets: bytes) -> Iterator[bytes]:
    """Yield the messages in `octets`: a length octet and the message, again and again."""
    at = 0
    for _ in range(MOST_PIECES):
        if at >= len(octets):
            return
        size = octets[at]
        yield octets[at + 1 : at + 1 + size]
        at += 1 + size


def joined(*messages: bytes) -> bytes:
    """Return the octets that `pieces` takes apart into messages; none may exceed 255 octets."""
    return b"".join(bytes((len(message),)) + message for message in messages)


def hold(promise: bool, what: str) -> None:
    """Raise Broken unless a promise holds."""
    if not promise:
        raise Broken(what)
