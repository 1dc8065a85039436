"""A readings message becomes blocks, or is refused with a reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from hesper_contracts import batch, columns, json_columns, readings_json
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Encoding, Kind, Refused, expect
from hesper_contracts.readings_json import RefusedReading

from hesper_cloud.ingest.message import Message, Settled, batch_id
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.port import Block


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """One block with the rows of several batches of a gateway, and how many they are."""

    block: Block
    batches: int


class Decoded(NamedTuple):
    """One readings message taken apart; `batch` is None when a third party named none.

    Its rows are in blocks of its own, or in one that it shares; `refused` are those that cannot be.
    """

    message: Message
    batch: BatchId | None
    digest: str
    blocks: tuple[Block, ...]
    shared: Shared | None = None
    refused: tuple[RefusedReading, ...] = ()

    @property
    def all_blocks(self) -> tuple[Block, ...]:
        """The blocks that its rows are in, of its own or shared."""
        return self.blocks if self.shared is None else (self.shared.block,)


def identify(message: Message) -> BatchId | None:
    """Returns the identity of a batch if its payload gives one, whatever the body holds."""
    try:
        if message.payload[:1] == readings_json.FIRST_OCTET:
            return _named(message, readings_json.batch_named(message.payload))
        sealed = batch.open_(message.payload)
        return batch_id(message.gateway, sealed.epoch, sealed.sequence)
    except Refused:
        return message.unnamed


def rejected(message: Message, reason: str) -> list[Settled]:
    """Returns the answer that a message is set aside; nothing where it names no batch."""
    found = identify(message)
    if found is None:
        return []
    sha256 = batch.digest(message.payload)
    return [Settled(found, sha256, "rejected", reason[:200], message.arrived)]


def decode(message: Message) -> Decoded:
    """Takes a readings message apart.

    Raises:
        Refused: it cannot be decoded; the text says why.
    """
    digest = batch.digest(message.payload)
    received_at = int(message.received_at)
    if message.payload[:1] == readings_json.FIRST_OCTET:
        return _from_json(message, digest)
    expect(message.payload, Kind.READINGS, Encoding.COLUMNS, Encoding.COLUMNS_ZSTD)
    sealed = batch.open_(message.payload)
    identity = batch_id(message.gateway, sealed.epoch, sealed.sequence)
    sections = columns.decode(sealed.body, sealed.header.encoding)
    blocks = tuple(block_of(section, received_at) for section in sections)
    return Decoded(message, identity, digest, blocks)


def blocks_with_messages(decoded: Sequence[Decoded]) -> list[tuple[Message, Block]]:
    """Returns each block with a message that it came in; a shared one once.

    Where not all batches of a shared block are there, each of those has its rows in its own.
    """
    present = Counter(each.shared for each in decoded if each.shared is not None)
    found: dict[Block, Message] = {}
    for each in decoded:
        if each.shared is None:
            blocks = each.blocks
        elif present[each.shared] < each.shared.batches:
            blocks = decode(each.message).blocks
        else:
            blocks = (each.shared.block,)
        for block in blocks:
            found.setdefault(block, each.message)
    return [(message, block) for block, message in found.items()]


def _from_json(message: Message, digest: str) -> Decoded:
    if len(message.payload) > batch.MAX_PAYLOAD:
        raise Refused(f"at most {batch.MAX_PAYLOAD} octets are accepted")
    opened = json_columns.open_(message.payload, datetime.fromtimestamp(message.received_at, UTC))
    blocks = tuple(block_of(section, int(message.received_at)) for section in opened.sections)
    identity = _named(message, opened.batch)
    return Decoded(message, identity, digest, blocks, refused=opened.refused)


def _named(message: Message, named: readings_json.JsonBatch | None) -> BatchId | None:
    if named is None:
        return message.unnamed
    return batch_id(message.gateway, named.epoch, named.sequence)
