"""A group's blocks, merged into long columns and sorted out against each other.

Blocks of the same profile and quantities become one `Rows`, so that the store handles few long
columns instead of many short ones. `first_of_identity` then finds the rows of a group that repeat
an identity within the group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from hesper_cloud.stores.port import Block, Flags, Integers, Quantity

Keys = Callable[[Sequence[str]], Integers]
_METER_BITS = 40  # keys of meters count from 0


class Stamp(NamedTuple):
    """What all rows of one commit share."""

    stored_at_ms: int
    commit_number: int


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Merged rows of one profile and one set of quantities; `meter` holds store keys."""

    profile: str
    quantities: tuple[Quantity, ...]
    meter: Integers
    captured_at: Integers
    clock_status: Integers
    quality: Integers
    received_at: Integers
    values: Integers
    missing: Flags | None
    sources: tuple[int, ...]  # positions of the blocks, in order
    lengths: tuple[int, ...]

    @property
    def row_count(self) -> int:
        """The number of readings."""
        return len(self.captured_at)

    def take(self, mask: Flags | slice) -> "Rows":
        """Returns chosen rows; `sources` and `lengths` no longer apply and are empty."""
        return Rows(
            self.profile,
            self.quantities,
            self.meter[mask],
            self.captured_at[mask],
            self.clock_status[mask],
            self.quality[mask],
            self.received_at[mask],
            self.values[:, mask],
            None if self.missing is None else self.missing[:, mask],
            (),
            (),
        )


def merge(blocks: Sequence[Block], meter_keys: Keys) -> list[Rows]:
    """Merges blocks by profile and quantities."""
    alike: dict[tuple[str, tuple[Quantity, ...]], list[int]] = {}
    for position, block in enumerate(blocks):
        if block.row_count:
            alike.setdefault((block.profile, block.quantities), []).append(position)
    return [
        _concatenate([blocks[place] for place in places], tuple(places), meter_keys)
        for places in alike.values()
    ]


def _concatenate(blocks: Sequence[Block], sources: tuple[int, ...], meter_keys: Keys) -> Rows:
    lengths = tuple(block.row_count for block in blocks)
    return Rows(
        blocks[0].profile,
        blocks[0].quantities,
        _meters(blocks, meter_keys),
        np.concatenate([block.captured_at for block in blocks]),
        np.concatenate([block.clock_status for block in blocks]),
        np.concatenate([block.quality for block in blocks]),
        np.repeat([block.received_at for block in blocks], lengths).astype(np.int64),
        np.concatenate([block.values for block in blocks], axis=1),
        _missing(blocks),
        sources,
        lengths,
    )


def _meters(blocks: Sequence[Block], meter_keys: Keys) -> Integers:
    """Returns the key of each row's meter, asked for once: new meters enter the store together."""
    keys = meter_keys(list(chain.from_iterable(block.meters for block in blocks)))
    firsts = np.cumsum([0, *(len(block.meters) for block in blocks[:-1])])
    return np.concatenate(
        [keys[first + block.meter_index] for first, block in zip(firsts, blocks, strict=True)]
    )


def _missing(blocks: Sequence[Block]) -> Flags | None:
    if all(block.missing is None for block in blocks):
        return None
    return np.concatenate(
        [
            np.zeros(block.values.shape, dtype=bool) if block.missing is None else block.missing
            for block in blocks
        ],
        axis=1,
    )


def first_of_identity(parts: Sequence[Rows], profile_keys: Sequence[int]) -> list[Flags]:
    """Returns, for each part, the mask of rows whose identity no earlier row of the group has."""
    captured = np.concatenate([part.captured_at for part in parts])
    meter = np.concatenate([part.meter for part in parts])
    status = np.concatenate([part.clock_status for part in parts])
    profile = np.repeat(profile_keys, [part.row_count for part in parts])
    if _each_meter_ascends(profile, meter, captured):
        return [np.ones(part.row_count, dtype=bool) for part in parts]
    order = np.lexsort((captured, status, meter, profile))  # stable: earlier rows stay first
    repeats = np.ones(len(order), dtype=bool)
    repeats[:1] = False
    for column in (captured, status, meter, profile):
        ordered = column[order]
        repeats[1:] &= ordered[1:] == ordered[:-1]
    first = np.empty(len(order), dtype=bool)
    first[order] = ~repeats
    ends = np.cumsum([part.row_count for part in parts])[:-1]
    return list(np.split(first, ends))


def _each_meter_ascends(profile: Integers, meter: Integers, captured: Integers) -> bool:
    """Says whether every meter stands once, with later and later rows: nothing can repeat then."""
    begins = np.ones(len(meter), dtype=bool)
    begins[1:] = (meter[1:] != meter[:-1]) | (profile[1:] != profile[:-1])
    if not (begins[1:] | (captured[1:] > captured[:-1])).all():
        return False
    return all_differ(profile[begins] << _METER_BITS | meter[begins])


def all_differ(numbers: Integers) -> bool:
    """Says whether no number stands twice; numpy's own ``unique`` takes ten times as long."""
    ordered = np.sort(numbers)
    return not bool((ordered[1:] == ordered[:-1]).any())


def spread(parts: Sequence[Rows], masks: Sequence[Flags], blocks: Sequence[Block]) -> list[Flags]:
    """Returns the masks of merged rows as one mask per block."""
    found = [np.zeros(block.row_count, dtype=bool) for block in blocks]
    for part, mask in zip(parts, masks, strict=True):
        pieces = np.split(mask, np.cumsum(part.lengths)[:-1])
        for source, piece in zip(part.sources, pieces, strict=True):
            found[source] = piece
    return found
