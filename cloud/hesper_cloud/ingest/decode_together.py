"""Batches of few meters each, decoded together: one block of many instead of many of few rows.

A message costs its price at each stage whether it brings six readings or six thousand. So what the
batches of one gateway in a group say of different meters, received by it in the same second,
becomes one block, and is judged, stored and told as one; each batch keeps its identity and its
receipt. Of a meter that several batches of the group speak of each has a block of its own, so that
the order in which its readings came holds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from hesper_contracts import batch, columns, lone_sections
from hesper_contracts.batch import BatchId
from hesper_contracts.columns import SectionColumns
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, Refused, header
from hesper_contracts.lone_sections import Lone

from hesper_cloud.ingest.decode import Decoded, Shared, decode
from hesper_cloud.ingest.message import Message, batch_id
from hesper_cloud.stores.blocks import CLOCKS_DIFFER_S, block_of
from hesper_cloud.stores.port import EARLIEST, LATEST, Block

_MOST_OCTETS = 8 * 1024
_MOST_PLAIN = 16 * 1024  # all bodies of a group are held at once, and a KiB may open to 30 MiB
MOST_CELLS = 16 * columns.MAX_CELLS
"""Rows times columns of a group: forty octets may say a million rows of the same value."""
_ENCODINGS = {
    header(Kind.READINGS, encoding): encoding
    for encoding in (Encoding.COLUMNS, Encoding.COLUMNS_ZSTD)
}


class TooMuch(Exception):
    """A group that is too large for the memory, however few its octets are."""


class _Opened(NamedTuple):
    """A small batch, its place in the group, and its body, not taken apart yet."""

    place: int
    message: Message
    batch: BatchId
    body: bytes


def decode_all(messages: Sequence[Message]) -> list[Decoded | Refused]:
    """Takes messages apart; a refusal stands in the place of what could not be.

    Raises:
        TooMuch: several messages that unpack to more than is held at once.
    """
    opened = [small for place, each in enumerate(messages) if (small := _opened(place, each))]
    lone = lone_sections.taken_apart([each.body for each in opened])
    together = {opened[number].place for each in lone for number in each.places}
    found: dict[int, Decoded | Refused] = {}
    cells = sum(each.values.size for each in lone)
    for place, message in enumerate(messages):
        if place not in together:
            found[place] = _attempt(message)
            cells += _cells(found[place])
            if cells > MOST_CELLS and len(messages) > 1:
                found.clear()  # who catches this holds on to it
                raise TooMuch
    once = _named_once(lone, found.values())
    for each in lone:
        found |= _shared(each, [opened[number] for number in each.places], once)
    for place in together - found.keys():
        found[place] = _attempt(messages[place])
    return [found[place] for place in range(len(messages))]


def _opened(place: int, message: Message) -> _Opened | None:
    """Returns a batch that is worth a try; None for any other, refused ones included."""
    payload = message.payload
    encoding = _ENCODINGS.get(payload[:HEADER_LENGTH])
    if encoding is None or not batch.BODY < len(payload) <= _MOST_OCTETS:
        return None
    try:
        identity = batch_id(message.gateway, *batch.identity(payload))
        body = columns.plain(payload[batch.BODY :], encoding, _MOST_PLAIN)
        return _Opened(place, message, identity, body)
    except Refused:
        return None


def _attempt(message: Message) -> Decoded | Refused:
    try:
        return decode(message)
    except Refused as refusal:
        return refusal.with_traceback(None)  # which holds all that was unpacked


def _cells(found: Decoded | Refused) -> int:
    if isinstance(found, Refused):
        return 0
    return sum(block.row_count * (len(block.quantities) + 3) for block in found.blocks)


def _named_once(lone: Sequence[Lone], others: Iterable[Decoded | Refused]) -> set[str]:
    """Returns the meters of which one batch of the group speaks, and no other."""
    if not lone:
        return set()
    batches = Counter(chain.from_iterable(chain.from_iterable(each.meters for each in lone)))
    for other in others:
        if isinstance(other, Decoded):
            batches.update(meter for block in other.blocks for meter in block.meters)
    return {meter for meter, count in batches.items() if count == 1}


def _shared(lone: Lone, opened: Sequence[_Opened], once: set[str]) -> dict[int, Decoded]:
    """Returns batches with the blocks that they share, by their places in the group.

    Left out are meters of which others speak too, and rows out of the stores' range of time, which
    are set aside one by one.
    """
    came = np.array([int(each.message.received_at) for each in opened], np.int64)
    told = lone.received_at
    believed = (told >= EARLIEST) & (told <= came + CLOCKS_DIFFER_S)
    received_at = np.where(believed, told, came).tolist()
    in_time = (lone.captured_at >= EARLIEST) & (lone.captured_at <= LATEST)
    inside: list[bool] = np.all(in_time, axis=1).tolist()
    alike: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for number, each in enumerate(opened):
        if inside[number] and once.issuperset(lone.meters[number]):
            alike[each.message.gateway, received_at[number]].append(number)
    found = {}
    for (_, received), numbers in alike.items():
        shared = Shared(_block(lone, numbers, received), len(numbers))
        for number in numbers:
            _, message, identity, _ = opened[number]
            digest = batch.digest(message.payload)
            found[opened[number].place] = Decoded(message, identity, digest, (), shared)
    return found


def _block(lone: Lone, numbers: list[int], received_at: int) -> Block:
    meters = tuple(chain.from_iterable(lone.meters[number] for number in numbers))
    rows = lone.captured_at.shape[1] * len(numbers) // len(meters)
    return block_of(
        SectionColumns(
            lone.profile,
            received_at,
            lone.quantities,
            meters,
            np.repeat(np.arange(len(meters), dtype=np.int32), rows),
            lone.captured_at[numbers].ravel(),
            lone.clock_status[numbers].ravel().astype(np.uint8),
            lone.quality[numbers].ravel().astype(np.uint16),
            lone.values[:, numbers].reshape(len(lone.quantities), -1),
            None,
        )
    )
