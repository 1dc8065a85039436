"""A group's blocks put together, so that what looks at rows looks at few long columns.

Blocks of the same profile and quantities, received within the same minutes, become one. A meter
that stands in several of them stands in the joined block several times, each time with its own run
of rows: whoever compares neighbouring rows sees what it would see block by block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from hesper_cloud.stores.port import Block, Flags, Integers

_TOGETHER_S = 300


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """One long block; `places` says which blocks it was made of, `lengths` their rows."""

    block: Block
    places: tuple[int, ...]
    lengths: tuple[int, ...]

    def pieces(self, column: Integers) -> Iterator[tuple[int, Integers]]:
        """Yields each block's place and its part of a column."""
        start = 0
        for place, length in zip(self.places, self.lengths, strict=True):
            yield place, column[start : start + length]
            start += length

    def together(self, masks: Sequence[Flags]) -> Flags:
        """Returns the masks of single blocks as one of the joined block."""
        return np.concatenate([masks[place] for place in self.places])


def joined(blocks: Sequence[Block]) -> list[Joined]:
    """Joins blocks that have rows."""
    alike: dict[object, list[int]] = {}
    for place, block in enumerate(blocks):
        if block.row_count:
            key = (block.profile, block.quantities, block.received_at // _TOGETHER_S)
            alike.setdefault(key, []).append(place)
    return [
        _joined([blocks[place] for place in places], tuple(places)) for places in alike.values()
    ]


def _joined(blocks: Sequence[Block], places: tuple[int, ...]) -> Joined:
    lengths = tuple(block.row_count for block in blocks)
    if len(blocks) == 1:
        return Joined(blocks[0], places, lengths)
    meters = tuple(chain.from_iterable(block.meters for block in blocks))
    firsts = np.cumsum([0, *(len(block.meters) for block in blocks[:-1])])
    return Joined(
        Block(
            profile=blocks[0].profile,
            quantities=blocks[0].quantities,
            meters=meters,
            meter_index=np.concatenate([block.meter_index for block in blocks])
            + np.repeat(firsts, lengths),
            captured_at=np.concatenate([block.captured_at for block in blocks]),
            clock_status=np.concatenate([block.clock_status for block in blocks]),
            quality=np.concatenate([block.quality for block in blocks]),
            received_at=max(block.received_at for block in blocks),
            values=np.concatenate([block.values for block in blocks], axis=1),
            missing=_missing(blocks),
        ),
        places,
        lengths,
    )


def _missing(blocks: Sequence[Block]) -> Flags | None:
    if all(block.missing is None for block in blocks):
        return None
    masks = [
        np.zeros(block.values.shape, dtype=bool) if block.missing is None else block.missing
        for block in blocks
    ]
    return np.concatenate(masks, axis=1)
