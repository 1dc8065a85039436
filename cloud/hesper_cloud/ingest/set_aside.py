"""Rows that cannot be stored: set aside one by one, and no other row of their batch suffers.

Stores hold 1970 to 2262. A meter whose clock says the year 3000 still said something; so did one
whose clock stands still, of which InfluxDB holds a thousand versions of one capture, and a program
that sent one reading with a wrong field among good ones. Such a row is a dead letter of its
own, a batch of one row in the plain JSON form, so that it can be read, and tried again. Its batch
is receipted with the others, so nobody else will have it: it is kept before they are stored,
however long the registry is away.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import numpy as np
from hesper_contracts.frame import VERSION
from hesper_contracts.readings_json import RefusedReading

from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.message import Message
from hesper_cloud.ingest.persist import until_stored
from hesper_cloud.stores.port import EARLIEST, LATEST, Block, Flags, StoreRefused

OUT_OF_TIME = "captured at a time outside 1970 to 2262"
_TOLD = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_time(block: Block) -> Flags:
    """Returns which rows were captured at a time that stores hold."""
    inside: Flags = (block.captured_at >= EARLIEST) & (block.captured_at <= LATEST)
    return inside


class Aside(NamedTuple):
    """Where rows are set aside, and who says that it is no use to wait for it."""

    dead_letters: DeadLetters
    stop: threading.Event

    def keep(self, topic: str, payload: bytes, reason: str) -> None:
        """Keeps a letter.

        Raises:
            Stopped: the process ends before it is kept.
        """
        until_stored(lambda: self.dead_letters.keep(topic, payload, reason), self.stop)


def without_rows_out_of_time(block: Block, message: Message, aside: Aside) -> Block:
    """Returns the block without rows outside the stores' range of time, which are set aside."""
    return _without(block, ~in_time(block), (message, OUT_OF_TIME), aside)


def without_refused_captures(
    block: Block, message: Message, refusal: StoreRefused, aside: Aside
) -> Block:
    """Returns the block without what the store refuses of some captures, which is set aside."""
    captures = zip(block.meter_index.tolist(), block.captured_at.tolist(), strict=True)
    refused = [(block.meters[meter], at) in refusal.captures for meter, at in captures]
    return _without(block, np.array(refused, dtype=bool), (message, str(refusal)), aside)


def _without(block: Block, refused: Flags, why: tuple[Message, str], aside: Aside) -> Block:
    """Returns the block without some rows, set aside as those of a message, for a reason."""
    if not refused.any():
        return block
    message, reason = why
    places = np.flatnonzero(refused).tolist()
    rows = (RefusedReading(_letter(block, row), reason) for row in places)
    _set_aside(rows, len(places), message, aside)
    kept = ~refused
    return replace(
        block,
        meter_index=block.meter_index[kept],
        captured_at=block.captured_at[kept],
        clock_status=block.clock_status[kept],
        quality=block.quality[kept],
        values=block.values[:, kept],
        missing=None if block.missing is None else block.missing[:, kept],
    )


def set_refused_aside(refused: Sequence[RefusedReading], message: Message, aside: Aside) -> None:
    """Sets readings of a batch aside that cannot be."""
    _set_aside(iter(refused), len(refused), message, aside)


def _set_aside(rows: Iterator[RefusedReading], count: int, message: Message, aside: Aside) -> None:
    """Keeps so many rows by themselves; of more, the batch that they came in."""
    first = list(islice(rows, _TOLD))
    for row in first:
        aside.keep(message.topic, row.payload, f"one row of a batch: {row.reason}")
    if count > _TOLD:
        reason = f"{count} rows cannot be stored, the first: {first[0].reason}; the whole batch"
        aside.keep(message.topic, message.payload, reason)


def _letter(block: Block, row: int) -> bytes:
    reading = {
        "meter": block.meters[block.meter_index[row]],
        "captured_at": _time(int(block.captured_at[row])),
        "profile": block.profile,
        "clock_status": int(block.clock_status[row]),
        "quality": int(block.quality[row]),
        "values": {
            quantity.logical_name: [_value(block, place, row), quantity.scaler, quantity.unit]
            for place, quantity in enumerate(block.quantities)
        },
    }
    received_at = _time(block.received_at)
    told = {"kind": "readings", "version": VERSION, "received_at": received_at}
    return json.dumps({**told, "readings": [reading]}).encode()


def _time(seconds: int) -> str | int:
    """Returns a time as text; as epoch seconds where the calendar has no such year."""
    try:
        return (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return seconds


def _value(block: Block, place: int, row: int) -> int | None:
    if block.missing is not None and block.missing[place, row]:
        return None
    return int(block.values[place, row])
