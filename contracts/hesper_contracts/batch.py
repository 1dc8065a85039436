"""A batch: octets that never change once they have an identity.

The identity is gateway (from the topic), outbox epoch (8 random octets, new with every new outbox)
and sequence (unsigned 64 bit). The digest is SHA-256 over the whole payload, header included; the
receipt repeats it. Layout: header (4) · epoch (8) · sequence (8, big-endian) · body.
"""

import hashlib
from typing import NamedTuple

from hesper_contracts.frame import HEADER_LENGTH, Encoding, Header, Kind, Refused, header
from hesper_contracts.frame import parse_header as _parse_header

EPOCH_LENGTH = 8
BODY = HEADER_LENGTH + EPOCH_LENGTH + 8
"""Where a batch's body begins."""
MAX_PAYLOAD = 4 * 1024 * 1024


class BatchId(NamedTuple):
    """Names one batch for ever: gateway, outbox epoch (16 hex digits), sequence."""

    gateway: str
    epoch: str
    sequence: int


class Sealed(NamedTuple):
    """A batch taken apart; ``prefix`` is all that stands before the body."""

    header: Header
    epoch: str
    sequence: int
    prefix: bytes
    body: bytes


def prefix(kind: Kind, encoding: Encoding, epoch: str, sequence: int) -> bytes:
    """Return header and identity, the octets before a batch's body."""
    octets = bytes.fromhex(epoch)
    if len(octets) != EPOCH_LENGTH:
        raise ValueError(f"an outbox epoch has 16 hex digits, not {epoch!r}")
    return header(kind, encoding) + octets + sequence.to_bytes(8, "big")


def seal(kind: Kind, encoding: Encoding, epoch: str, sequence: int, body: bytes) -> bytes:
    """Return the payload of a batch."""
    return prefix(kind, encoding, epoch, sequence) + body


def open_(payload: bytes) -> Sealed:
    """Take a batch apart without looking into its body.

    Raises:
        Refused: too short, too long, or a header this release does not know.
    """
    if len(payload) > MAX_PAYLOAD:
        raise Refused(f"batch of {len(payload)} octets: at most {MAX_PAYLOAD} are accepted")
    found = _parse_header(payload)
    if len(payload) < BODY:
        raise Refused("batch cut off before the end of its identity")
    return Sealed(found, *identity(payload), payload[:BODY], payload[BODY:])


def identity(payload: bytes) -> tuple[str, int]:
    """Return epoch and sequence of a payload that reaches to its body."""
    epoch_end = HEADER_LENGTH + EPOCH_LENGTH
    return payload[HEADER_LENGTH:epoch_end].hex(), int.from_bytes(payload[epoch_end:BODY], "big")


def digest(payload: bytes) -> str:
    """Return the SHA-256 of a whole batch payload, 64 hex digits."""
    return hashlib.sha256(payload).hexdigest()
