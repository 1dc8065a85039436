"""What our process and an engine's say to each other, over the engine's standard streams.

A message is a length (4 octets, big-endian) and that many octets of JSON: one object, whose octet
strings are hex. One side asks, the other answers once; an APDU is always whole.

| ``do`` | asked with | answered with |
|---|---|---|
| ``open`` | the association's settings, see `terms.terms_of` | ``done`` |
| ``aarq`` | ``counter`` | ``apdu`` |
| ``aare`` | ``apdu`` | ``done`` |
| ``prove`` | ``counter``, the one before the APDU's: the proof's, where it has one | ``apdu`` |
| ``proven`` | ``apdu`` | ``done`` |
| ``get`` | an attribute's three numbers, ``selection``, ``counter`` | ``apdu`` |
| ``answer`` | ``apdu`` | ``value``, ``refused``, or ``more``: ask ``next`` |
| ``next`` | ``counter`` | ``apdu`` |

Every question names its ``session``; ``open`` begins it anew. ``failed`` answers anything, with a
text. ``refused`` is a data-access-result, ``value`` an attribute's value in A-XDR.
"""

import json
from typing import Any

Message = dict[str, Any]

LENGTH_OCTETS = 4
LONGEST = 8 * 1024 * 1024
"""Octets of a message at most: hex of an APDU of 2 MB, more than any meter sends."""


def encode(message: Message) -> bytes:
    """Return a message as it crosses."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(LENGTH_OCTETS, "big") + body


def length_of(head: bytes) -> int:
    """Return how many octets follow; ValueError when no message is that long."""
    length = int.from_bytes(head, "big")
    if not 2 <= length <= LONGEST:
        raise ValueError(f"a message of {length} octets")
    return length


def decode(body: bytes) -> Message:
    """Return a message; ValueError when it is none."""
    try:
        message = json.loads(body)
    except RecursionError:
        raise ValueError("a message is not nested like that") from None
    if not isinstance(message, dict):
        raise ValueError("a message is an object")  # noqa: TRY004 - a value of the wire, not ours
    return message
