"""Hostile payloads: whatever the octets, decoding gives blocks or a reason, and grouping holds."""

import random
import time
from contextlib import suppress

import pytest
from hesper_cloud.ingest.decode import decode, identify
from hesper_cloud.ingest.events_in import EventRows
from hesper_cloud.ingest.grouping import Grouping
from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.names import Names
from hesper_cloud.ingest.results_in import ResultRows
from hesper_cloud.ingest.validate import judged
from hesper_cloud.latest import LatestValues
from hesper_contracts import batch, readings
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Encoding, Kind, Refused
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hypothesis import given, settings
from hypothesis import strategies as st

EPOCH = "00112233445566ff"
NOW = 1_790_000_100
QUANTITIES = (
    Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35),
    Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30),
)


def message(payload: bytes, kind: Kind = Kind.READINGS) -> Message:
    return Message("t", "gw-1", kind, payload, Delivery(1, 1, 1), time.monotonic(), NOW)


def whole() -> bytes:
    rows = [MeterRows("M1", [NOW, NOW + 900], [0, 128], [0, 1], [[2300, None], [5, 6]])]
    encoding, body = readings.encode([Section(LOAD_PROFILE, NOW, QUANTITIES, rows)])
    return batch.seal(Kind.READINGS, encoding, EPOCH, 7, body)


def test_a_whole_batch_decodes_with_sorted_quantities() -> None:
    found = decode(message(whole()))
    assert found.batch == BatchId("gw-1", EPOCH, 7)
    (block,) = found.blocks
    assert [each.logical_name for each in block.quantities] == ["1.0.1.8.0.255", "1.0.32.7.0.255"]
    assert block.values[:, 0].tolist() == [5, 2300]
    assert block.missing is not None
    assert block.missing.tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize(("claimed", "kept"), [(-60, -60), (200, 200), (86_400, 0)])
def test_nothing_was_received_after_it_came_here(claimed: int, kept: int) -> None:
    rows = [MeterRows("M1", [NOW], [0], [0], [[5], [2300]])]
    encoding, body = readings.encode([Section(LOAD_PROFILE, NOW + claimed, QUANTITIES, rows)])
    (block,) = decode(message(batch.seal(Kind.READINGS, encoding, EPOCH, 8, body))).blocks
    assert block.received_at == NOW + kept


def test_changed_octets_give_blocks_or_a_reason() -> None:
    chance = random.Random(11)
    for _ in range(3000):
        octets = bytearray(whole())
        for _ in range(chance.randint(1, 4)):
            octets[chance.randrange(20, len(octets))] = chance.randrange(256)
        settle(bytes(octets[: chance.randint(10, len(octets))]))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_give_blocks_or_a_reason(octets: bytes) -> None:
    settle(octets)
    settle(batch.prefix(Kind.READINGS, Encoding.COLUMNS, EPOCH, 1) + octets)
    settle(b"{" + octets)
    for rows, kind, encoding in (
        (EventRows(Names(1, lambda _: (), lambda: 0.0)), Kind.EVENTS, Encoding.JSON),
        (ResultRows(), Kind.RESULTS, Encoding.SIGNED_JSON),
    ):
        with suppress(Refused):
            rows.decode(message(batch.prefix(kind, encoding, EPOCH, 1) + octets, kind))


def settle(octets: bytes) -> None:
    identify(message(octets))
    with suppress(Refused):
        for block in decode(message(octets)).blocks:
            assert judged(block, LatestValues(), NOW).row_count == block.row_count


def test_groups_close_by_number_or_by_time() -> None:
    waiting = Inbox()
    grouping = Grouping(waiting, 3, 0.02)
    for _ in range(4):
        waiting.put(message(b""))
    assert len(grouping.next_group()) == 3
    began = time.monotonic()
    assert len(grouping.next_group()) == 1
    assert time.monotonic() - began < 5
    assert grouping.next_group() == []
