"""Rows captured at a time that no store can hold: set aside one by one, the rest is stored.

Stores hold 1970 to 2262. A meter whose clock says the year 3000 still said something: its row is
kept whole as a dead letter, readable, and no other row of its batch suffers.
"""

import json
from dataclasses import replace

import numpy as np

from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.message import Message
from hesper_cloud.stores.port import EARLIEST, LATEST, Block

_TOLD = 100


def without_rows_out_of_time(block: Block, message: Message, dead_letters: DeadLetters) -> Block:
    """Returns the block without rows outside the stores' range of time, which are set aside."""
    inside = (block.captured_at >= EARLIEST) & (block.captured_at <= LATEST)
    if inside.all():
        return block
    outside = np.flatnonzero(~inside)
    for row in outside[:_TOLD]:
        letter = json.dumps(_row(block, int(row))).encode()
        dead_letters.add(message.topic, letter, "captured at a time outside 1970 to 2262")
    if len(outside) > _TOLD:
        reason = f"{len(outside)} rows captured outside 1970 to 2262: the whole batch"
        dead_letters.add(message.topic, message.payload, reason)
    return replace(
        block,
        meter_index=block.meter_index[inside],
        captured_at=block.captured_at[inside],
        clock_status=block.clock_status[inside],
        quality=block.quality[inside],
        values=block.values[:, inside],
        missing=None if block.missing is None else block.missing[:, inside],
    )


def _row(block: Block, row: int) -> dict[str, object]:
    return {
        "meter": block.meters[block.meter_index[row]],
        "profile": block.profile,
        "captured_at": int(block.captured_at[row]),
        "clock_status": int(block.clock_status[row]),
        "received_at": block.received_at,
        "values": {
            quantity.logical_name: [_value(block, place, row), quantity.scaler, quantity.unit]
            for place, quantity in enumerate(block.quantities)
        },
    }


def _value(block: Block, place: int, row: int) -> int | None:
    if block.missing is not None and block.missing[place, row]:
        return None
    return int(block.values[place, row])
