"""The first four octets of every payload: what it is, which version, how it is encoded.

Theory of operation: a payload opens with printable ASCII, ``H``, a kind letter, a version digit and
an encoding letter (``HR1z`` is a readings batch, schema 1, columnar and zstd-compressed), so that a
consumer refuses what it does not know before it parses anything. A payload that opens with ``{`` is
the plain JSON form that third parties may publish as readings.
"""

from enum import StrEnum
from typing import NamedTuple

VERSION = 1
HEADER_LENGTH = 4
_MAGIC = ord("H")


class Refused(ValueError):
    """A payload that this version cannot or must not accept; the text says why and what to do."""


class Kind(StrEnum):
    """What a payload is; the value is the last topic level that carries it."""

    READINGS = "readings"
    EVENTS = "events"
    RESULTS = "results"
    STATUS = "status"
    REQUESTS = "requests"
    RECEIPTS = "receipts"
    AGAIN = "again"
    COMMANDS = "commands"
    CONFIG = "config"
    BLOCKS = "blocks"
    ANSWERS = "answers"
    TUNNEL = "tunnel"
    WITNESS = "witness"


class Encoding(StrEnum):
    """How the octets after the header are coded; the value is the header's letter."""

    JSON = "j"
    COLUMNS = "c"
    COLUMNS_ZSTD = "z"
    SIGNED_JSON = "s"
    OCTETS = "o"


LETTERS: dict[Kind, str] = {
    Kind.READINGS: "R",
    Kind.EVENTS: "E",
    Kind.RESULTS: "X",
    Kind.STATUS: "S",
    Kind.REQUESTS: "Q",
    Kind.RECEIPTS: "K",
    Kind.AGAIN: "G",
    Kind.COMMANDS: "C",
    Kind.CONFIG: "F",
    Kind.BLOCKS: "B",
    Kind.ANSWERS: "A",
    Kind.TUNNEL: "T",
    Kind.WITNESS: "W",
}
_KINDS = {letter: kind for kind, letter in LETTERS.items()}


class Header(NamedTuple):
    """Kind, schema version and encoding of one payload."""

    kind: Kind
    version: int
    encoding: Encoding

    def to_octets(self) -> bytes:
        """Return the four octets."""
        return f"H{LETTERS[self.kind]}{self.version}{self.encoding.value}".encode("ascii")


def header(kind: Kind, encoding: Encoding) -> bytes:
    """Return the header octets of the present schema version."""
    return Header(kind, VERSION, encoding).to_octets()


def parse_header(payload: bytes) -> Header:
    """Read the header of a payload.

    Raises:
        Refused: not a Hesper payload, or a kind, version or encoding unknown to this release.
    """
    if len(payload) < HEADER_LENGTH or payload[0] != _MAGIC:
        raise Refused("not a Hesper payload: the first octet is neither 'H' nor '{'")
    kind = _KINDS.get(chr(payload[1]))
    if kind is None:
        raise Refused(f"unknown kind letter {chr(payload[1])!r}")
    version = payload[2] - ord("0")
    if version != VERSION:
        raise Refused(
            f"{kind} of schema version {chr(payload[2])!r}: this release reads version {VERSION}; "
            "upgrade the older side"
        )
    try:
        encoding = Encoding(chr(payload[3]))
    except ValueError:
        raise Refused(f"{kind} in unknown encoding {chr(payload[3])!r}") from None
    return Header(kind, version, encoding)


def expect(payload: bytes, kind: Kind, *encodings: Encoding) -> Header:
    """Read the header and insist on a kind and on one of the encodings.

    Raises:
        Refused: the payload is something else.
    """
    found = parse_header(payload)
    if found.kind is not kind:
        raise Refused(f"a {found.kind} payload where {kind} belong")
    if found.encoding not in encodings:
        raise Refused(f"{kind} cannot be encoded as {found.encoding.name}")
    return found
