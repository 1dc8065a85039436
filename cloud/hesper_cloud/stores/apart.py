"""Readings that are kept apart: of a meter that is behind another gateway than the one that sent
them.

Nothing that another gateway says of a meter may stand where the meter's own readings stand: not as
its newest value, not in its curves and sums, and not as the first version of a capture, before
which its own reading would only be a contradiction. So they are stored under a profile of their
own, ``1.0.99.1.0.255@gw-2``, of which nobody asks who asks for a profile: no sender can name such
a one, because it is no logical name. They stay there with `Quality.FOREIGN_GATEWAY`, are looked at
with the meter's raw readings, and leave with them. Where the meter turns out to be behind that
gateway they are stored once more, as what they are (`hesper_cloud.ingest.adoption`).
"""

from dataclasses import replace

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.stores.port import Block, Flags, Reading

_MARK = "@"
_FOREIGN = int(Quality.FOREIGN_GATEWAY)


def apart(profile: str, gateway: str) -> str:
    """Returns the profile under which readings of a foreign gateway are kept."""
    return f"{profile}{_MARK}{gateway}"


def is_apart(profile: str) -> bool:
    """Says whether readings of a profile are kept apart."""
    return _MARK in profile


def split(block: Block, foreign: Flags, gateway: str) -> tuple[Block, Block]:
    """Returns the rows that a gateway may send, and the foreign ones as they are kept."""
    theirs = _of(block, foreign)
    kept = replace(
        theirs,
        profile=apart(block.profile, gateway),
        quality=theirs.quality.astype(np.int64) | _FOREIGN,
    )
    return _of(block, ~foreign), kept


def _of(block: Block, rows: Flags) -> Block:
    """Returns some rows of a block, which names no other meters then."""
    used, index = np.unique(block.meter_index[rows], return_inverse=True)
    return replace(
        block,
        meters=tuple(block.meters[meter] for meter in used.tolist()),
        meter_index=index,
        captured_at=block.captured_at[rows],
        clock_status=block.clock_status[rows],
        quality=block.quality[rows],
        values=block.values[:, rows],
        missing=None if block.missing is None else block.missing[:, rows],
    )


def without_meters(block: Block, meters: frozenset[str]) -> Block:
    """Returns the block without the rows of some meters."""
    kept = np.array([meter not in meters for meter in block.meters], dtype=bool)
    return block if kept.all() else _of(block, kept[block.meter_index])


def believed(reading: Reading) -> Reading:
    """Returns a reading that was kept apart as its sender sent it."""
    profile, _, _ = reading.profile.partition(_MARK)
    return replace(reading, profile=profile, quality=reading.quality & ~_FOREIGN)
