"""What passed between a gateway and a meter, from opening the line to closing it, explained.

The gateway explains it, because nobody else can look inside ciphered APDUs, and it leaves out what
nobody else may see: passwords, challenges and keys are neither in the octets nor in the words.
"""

from itertools import chain
from typing import Annotated, Literal

import msgspec

from hesper_contracts.jsonbody import UtcTime

UTTERANCES_MAX = 120
OCTETS_MAX = 8192
"""Shown of all utterances together."""
TEXT_MAX = 32_768
"""Characters of the words of all utterances together, …"""
LINE_MAX = 500
"""… and of a line."""

_Octets = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}|\*\*)*$", max_length=2 * OCTETS_MAX)]
_Line = Annotated[str, msgspec.Meta(max_length=LINE_MAX)]
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Utterance(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What one side said before the other did, or what the gateway notes about the line.

    Attributes:
        at: By the gateway's clock, when the first octet was sent or had arrived.
        what: ``sent`` to the meter, ``received`` from it, or a ``note``, which has no octets.
        octets: Hex, ``**`` for each that is left out; empty where none of them fits any more.
        octet_count: How many they were.
        says: What they mean, line by line, two spaces deeper at each fork.
    """

    at: UtcTime
    what: Literal["sent", "received", "note"]
    octets: _Octets = ""
    octet_count: _Count = 0
    says: tuple[_Line, ...] = ()


class Conversation(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A conversation in order, as far as it fits.

    Attributes:
        utterances: The first `UTTERANCES_MAX` of them.
        utterance_count: How many there were.
        octets_sent: All that went to the meter.
        octets_received: All that came from it.
        truncated: Whether anything did not fit: utterances, octets or words.
    """

    utterances: Annotated[tuple[Utterance, ...], msgspec.Meta(max_length=UTTERANCES_MAX)]
    utterance_count: _Count
    octets_sent: _Count
    octets_received: _Count
    truncated: bool = False

    def __post_init__(self) -> None:
        if sum(len(each.octets) for each in self.utterances) > 2 * OCTETS_MAX:
            raise ValueError(f"more than {OCTETS_MAX} octets")
        if sum(map(len, chain.from_iterable(each.says for each in self.utterances))) > TEXT_MAX:
            raise ValueError(f"more than {TEXT_MAX} characters")
