"""Short sections of a readings body, walked over with plain integers.

A section of one meter has as many streams as one of five hundred, and numpy asks its price for
each of them. For a few rows plain integers are ten times as quick. `columns` has the last word: at
whatever is unusual, wrong octets included, this gives up, and they are taken apart there.
"""

from functools import lru_cache
from itertools import accumulate, chain, islice
from typing import NamedTuple

from hesper_contracts.readings import PROFILES, QUANTITIES, SCALED, Quantity
from hesper_contracts.streams import LOW
from hesper_contracts.topics import METER

MOST_ROWS = 64
_LONGEST_VARINT = 9
_WIDEST = 8
_quantity = lru_cache(maxsize=4096)(Quantity)


class ShortSection(NamedTuple):
    """One section as lists; ``values`` has one list for each quantity, and nothing is missing."""

    profile: bytes
    received_at: int
    quantities: tuple[Quantity, ...]
    meters: tuple[str, ...]
    counts: list[int]
    captured_at: list[int]
    clock_status: list[int]
    quality: list[int]
    values: list[list[int]]


class _Unusual(Exception):
    """Octets for somebody else to judge."""


def short_section(octets: bytes, offset: int) -> tuple[ShortSection, int] | None:
    """Return the section that begins at an offset, and where it ends; None if it is unusual."""
    try:
        return _section(octets, offset)
    except (_Unusual, IndexError, UnicodeDecodeError):
        return None


def _section(octets: bytes, at: int) -> tuple[ShortSection, int]:
    profile = PROFILES[_known(octets[at])]
    quantities, at = _quantities(octets, at + 1)
    meters, at = _meters(octets, at)
    counts, at = _stream(octets, at, len(meters))
    total = sum(counts)
    if min(counts) < 1 or total > MOST_ROWS:
        raise _Unusual
    stepped = _Steps(octets, counts, total)
    captured_at, at = stepped.next_from(at)
    until_received, at = _zigzag(octets, at)
    clock_status, at = _stream(octets, at, total)
    quality, at = _stream(octets, at, total)
    values = []
    for _ in quantities:
        column, at = stepped.next_from(at)
        values.append(column)
    received_at = captured_at[0] + until_received
    named = (profile, received_at, quantities, meters)
    return ShortSection(*named, counts, captured_at, clock_status, quality, values), at


def _known(code: int) -> int:
    if not code:
        raise _Unusual
    return code


def _quantities(octets: bytes, at: int) -> tuple[tuple[Quantity, ...], int]:
    found, count = [], _known(octets[at])
    for _ in range(count):
        at += 1
        marked, scaler = octets[at], 0
        logical_name, unit = QUANTITIES[_known(marked & ~SCALED)]
        if marked & SCALED:
            at += 1
            scaler = (octets[at] ^ 0x80) - 0x80
        found.append(_quantity(logical_name, scaler, unit))
    return tuple(found), at + 1


def _meters(octets: bytes, at: int) -> tuple[tuple[str, ...], int]:
    found, count = [], octets[at]
    if not 1 <= count <= MOST_ROWS:
        raise _Unusual
    at += 1
    for _ in range(count):
        end = at + 1 + octets[at]
        name = octets[at + 1 : end].decode("ascii")
        if end > len(octets) or not METER.fullmatch(name):
            raise _Unusual
        found.append(name)
        at = end
    return tuple(found), at


def _stream(octets: bytes, at: int, count: int) -> tuple[list[int], int]:
    head, low = octets[at], 0
    at += 1
    if head & LOW:
        low, at = _zigzag(octets, at)
    width = head & ~LOW
    end = at + width * count
    if width > _WIDEST or end > len(octets):
        raise _Unusual
    if width == 0:
        return [low] * count, at
    if width == 1:
        return [low + octet for octet in octets[at:end]], end
    planes = [octets[first:end:count] for first in range(at, at + count)]
    return [low + int.from_bytes(each, "little") for each in planes], end


def _zigzag(octets: bytes, at: int) -> tuple[int, int]:
    coded = shift = 0
    for octet in octets[at : at + _LONGEST_VARINT]:
        coded |= (octet & 0x7F) << shift
        at += 1
        if octet < 0x80:
            return (coded >> 1) ^ -(coded & 1), at
        shift += 7
    raise _Unusual


class _Steps(NamedTuple):
    """How columns of one section are to be summed up: the first value of each meter, then steps."""

    octets: bytes
    counts: list[int]
    total: int

    def next_from(self, at: int) -> tuple[list[int], int]:
        """Return the column that begins at an offset, and where it ends."""
        firsts, at = _stream(self.octets, at, len(self.counts))
        steps, at = _stream(self.octets, at, self.total - len(self.counts))
        if len(firsts) == 1:
            return list(accumulate(steps, initial=firsts[0])), at
        left = iter(steps)
        runs = (
            accumulate(islice(left, count - 1), initial=first)
            for first, count in zip(firsts, self.counts, strict=True)
        )
        return list(chain.from_iterable(runs)), at
