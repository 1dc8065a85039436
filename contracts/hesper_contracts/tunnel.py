"""A transparent tunnel: raw octets of a meter's line, between a gateway and one vendor's tool.

Theory of operation
-------------------
::

    tool                           gateway
      │ HELLO, again each second ──→ │ the signed `tunnel.open` was accepted, the relay read
      │ ←──────────────────── HELLO  │ the line is open
      │ DATA 1, 2, 3 … ─────────────→│
      │ ←───────────── DATA 1, 2, 3 …│
      │ CLOSE ──────────────────────→│ or time, octets, silence, loss: the gateway closes
      │ ←────────────── CLOSE reason │

Messages travel with QoS 0 on ``up/tunnel`` and ``down/tunnel``, because a line is no use late. A
raw line cannot be patched either: each direction counts its messages, and the first one that is
missing, repeated or out of order ends the tunnel. The octets are not signed: what stands for them
is the signed order, its limits, and the broker's access rules.

Octets of a message: header (4), session (16), direction (1), type (1), sequence (4, big-endian),
content.
"""

import hashlib
from enum import IntEnum, StrEnum
from typing import Annotated, NamedTuple

import msgspec

from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, Refused, expect, header

SESSION_OCTETS = 16
CONTENT_MAX = 4096
DURATION_MAX_S = 900
OCTETS_MAX = 16 * 1024 * 1024
SEQUENCE_MAX = 2**32 - 1
_HEAD = HEADER_LENGTH + SESSION_OCTETS + 2 + 4


class OpenTunnel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a ``tunnel.open`` allows: for how long, how many octets both ways, how much silence."""

    duration_s: Annotated[int, msgspec.Meta(ge=1, le=DURATION_MAX_S)]
    octets_max: Annotated[int, msgspec.Meta(ge=1, le=OCTETS_MAX)] = 1024 * 1024
    idle_s: Annotated[int, msgspec.Meta(ge=1, le=DURATION_MAX_S)] = 60


class Direction(StrEnum):
    """Which way a message goes; so that one that is sent back is not taken for the other's."""

    UP = "u"
    DOWN = "d"


class Type(IntEnum):
    """What a message is."""

    HELLO = 1
    DATA = 2
    CLOSE = 3


class Message(NamedTuple):
    """One message; ``content`` is line octets, or the reason of a CLOSE in UTF-8."""

    session: bytes
    direction: Direction
    type: Type
    sequence: int = 0
    content: bytes = b""


def session_of(command_id: str) -> bytes:
    """Return the session that a command opens: both sides know it without a word."""
    return hashlib.sha256(b"hesper tunnel " + command_id.encode()).digest()[:SESSION_OCTETS]


def to_payload(message: Message) -> bytes:
    """Return the payload."""
    if len(message.content) > CONTENT_MAX:
        raise ValueError(f"at most {CONTENT_MAX} octets go in one message")
    head = header(Kind.TUNNEL, Encoding.OCTETS) + message.session + message.direction.encode()
    numbers = bytes((message.type,)) + message.sequence.to_bytes(4, "big")
    return head + numbers + message.content


def from_payload(payload: bytes, direction: Direction) -> Message:
    """Return a message that goes this way.

    Raises:
        Refused: it is none, or goes the other way.
    """
    expect(payload, Kind.TUNNEL, Encoding.OCTETS)
    if not _HEAD <= len(payload) <= _HEAD + CONTENT_MAX:
        raise Refused(f"a tunnel message of {len(payload)} octets")
    at = HEADER_LENGTH + SESSION_OCTETS
    session = payload[HEADER_LENGTH:at]
    if payload[at : at + 1] != direction.encode():
        raise Refused("a tunnel message that goes the other way")
    try:
        type_ = Type(payload[at + 1])
    except ValueError:
        raise Refused(f"a tunnel message of unknown type {payload[at + 1]}") from None
    sequence = int.from_bytes(payload[at + 2 : _HEAD], "big")
    return Message(session, direction, type_, sequence, payload[_HEAD:])
