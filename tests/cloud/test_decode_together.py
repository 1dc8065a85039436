"""Batches of few meters each, decoded together: stored, receipted and set aside as each alone."""

import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hesper_cloud.db import registry
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.ingest import decode_together
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode import Decoded, blocks_with_messages, decode
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import Intakes
from hesper_cloud.ingest.message import Delivery, Message, Settled
from hesper_cloud.latest import LatestValues
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, StoreRefused
from hesper_contracts import batch, lone_sections, readings
from hesper_contracts.frame import Encoding, Kind, Refused
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.topics import Topics
from sqlalchemy import select
from tables import make_tables

EPOCH = "00112233445566ff"
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
TOPICS = Topics()
T0 = int(time.time()) - 7200
MANY = lone_sections.FEWEST + 6
"""So many that some may be left out and the others are still decoded together."""


def sealed(
    sequence: int, meter: str, value: int = 10, *, at: int = T0, received_at: int = T0 + 60
) -> bytes:
    rows = MeterRows(meter, [at, at + 900], [0, 0], [0, 1], [[2300, 2310], [value, value + 1]])
    encoding, body = readings.encode(
        [Section(LOAD_PROFILE, received_at, (VOLTAGE, ENERGY), [rows])]
    )
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


def several(sequence: int, meters: list[str]) -> bytes:
    """A batch that says the same number of rows of each meter."""
    rows = [
        MeterRows(meter, [T0, T0 + 900], [0, 0], [0, 1], [[2300, 2310], [sequence, place]])
        for place, meter in enumerate(meters)
    ]
    encoding, body = readings.encode([Section(LOAD_PROFILE, T0 + 60, (VOLTAGE, ENERGY), rows)])
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


def message(payload: bytes, gateway: str = "gw-1", packet: int = 1) -> Message:
    delivery = Delivery(1, packet, 1)
    topic = TOPICS.up(gateway, Kind.READINGS)
    return Message(topic, gateway, Kind.READINGS, payload, delivery, 0.0, time.time())


def many(gateway: str = "gw-1", first: int = 0) -> list[Message]:
    return [message(sealed(n, f"M{n}"), gateway) for n in range(first, first + MANY)]


def shared(attempts: list[Decoded | Refused]) -> list[bool]:
    return [isinstance(each, Decoded) and each.shared is not None for each in attempts]


def rows_of(blocks: list[Block]) -> list[tuple[object, ...]]:
    return sorted(
        (
            block.profile,
            block.quantities,
            block.received_at,
            block.meters[block.meter_index[row]],
            int(block.captured_at[row]),
            int(block.clock_status[row]),
            int(block.quality[row]),
            *block.values[:, row].tolist(),
        )
        for block in blocks
        for row in range(block.row_count)
    )


def test_together_they_hold_the_rows_that_each_holds_alone() -> None:
    group = [*many(), *many("gw-2", MANY), message(sealed(999, "M999", received_at=T0 + 61))]
    group.append(message(sealed(1000, "M1000", received_at=T0 + 10**6)))  # a time still to come
    attempts = decode_all(group)
    assert all(shared(attempts))
    decoded = [each for each in attempts if isinstance(each, Decoded)]
    alone = [decode(each) for each in group]
    assert [each[:3] for each in decoded] == [each[:3] for each in alone]
    found = blocks_with_messages(decoded)
    assert [(each.gateway, len(block.meters)) for each, block in found] == [
        ("gw-1", MANY),
        ("gw-2", MANY),
        ("gw-1", 1),
        ("gw-1", 1),
    ]
    dtypes = {(b.values.dtype, b.quality.dtype, b.clock_status.dtype) for _, b in found}
    assert dtypes == {
        (b.values.dtype, b.quality.dtype, b.clock_status.dtype) for e in alone for b in e.blocks
    }
    assert rows_of([block for _, block in found]) == rows_of([b for e in alone for b in e.blocks])


def test_so_do_batches_of_several_meters_each() -> None:
    group = [message(several(n, [f"M{n}.{each}" for each in range(5)])) for n in range(MANY)]
    attempts = decode_all(group)
    assert all(shared(attempts))
    ((sender, block),) = blocks_with_messages([each for each in attempts if shared([each])])
    assert (sender.gateway, len(block.meters), block.row_count) == ("gw-1", 5 * MANY, 10 * MANY)
    assert rows_of([block]) == rows_of([b for each in group for b in decode(each).blocks])


def test_of_several_meters_one_that_others_speak_of_leaves_its_batch_to_itself() -> None:
    group = [message(several(n, [f"M{n}.{each}" for each in range(5)])) for n in range(MANY)]
    group[3] = message(several(3, ["M3.0", "M3.1", "M3.1"]))
    group[5] = message(several(5, ["M5.0", "M7.4"]))
    group[9] = message(several(9, ["M9.0", "M9.1", "M9.2", "M9.3", "M7.4"]))
    alone = {place for place, each in enumerate(shared(decode_all(group))) if not each}
    assert alone == {3, 5, 7, 9}


def test_a_refusal_stands_in_its_place_and_costs_the_others_nothing() -> None:
    group = many()
    group[3] = message(sealed(3, "M3")[:-2])
    group[5] = message(batch.seal(Kind.READINGS, Encoding.COLUMNS_ZSTD, EPOCH, 5, b"no body"))
    group[7] = message(b"HR1c")
    attempts = decode_all(group)
    assert {place for place, each in enumerate(attempts) if isinstance(each, Refused)} == {3, 5, 7}
    assert shared(attempts).count(True) == MANY - 3


def test_a_meter_of_which_several_batches_speak_is_left_to_their_own_blocks() -> None:
    group = many()
    group[9] = message(sealed(9, "M4", 99))
    pair = [MeterRows(name, [T0], [0], [0], [[2300], [7]]) for name in ("M6", "other")]
    encoding, body = readings.encode([Section(LOAD_PROFILE, T0, (VOLTAGE, ENERGY), pair)])
    group.append(message(batch.seal(Kind.READINGS, encoding, EPOCH, 500, body)))
    alone = {place for place, each in enumerate(shared(decode_all(group))) if not each}
    assert alone == {4, 9, 6, len(group) - 1}


def test_rows_of_another_age_are_left_to_be_set_aside() -> None:
    group = many()
    group[2] = message(sealed(2, "M2", at=-5000))
    assert [place for place, each in enumerate(shared(decode_all(group))) if not each] == [2]


class Bench:
    """The intake of readings of an ingest on disk."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        make_tables(self.engine)
        self.store = DuckDbStore(folder / "readings.duckdb")
        letters = DeadLetters(self.engine)
        stop = threading.Event()
        self.readings = Intakes.build(
            self.store, self.engine, LatestValues(), letters, stop, TOPICS
        ).readings

    def take(self, group: list[Message]) -> list[Settled]:
        settled, aftermath = self.readings.store(group, decode_all(group))
        aftermath.tell()
        return settled

    def stored(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.store.export(0, T0 + 10**6):
            found[each.meter] = found.get(each.meter, 0) + 1
        return found

    def letters(self) -> list[str]:
        with reading(self.engine) as session:
            return [each.reason for each in session.scalars(select(registry.DeadLetter))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()
    made.engine.dispose()


def test_batches_that_came_before_are_receipted_again_and_the_rest_is_stored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = many()
    bench.take([group[1], group[2]])
    assert bench.stored() == {"M1": 2, "M2": 2}
    altered = message(sealed(2, "M2", 77))
    settled = bench.take([*group[:2], altered, *group[3:], group[5]])
    assert {each.batch.sequence: each.verdict for each in settled} == {
        number: "rejected" if number == 2 else "stored" for number in range(MANY)
    }
    assert bench.stored() == {f"M{number}": 2 for number in range(MANY)}
    assert ["stored with another digest" in reason for reason in bench.letters()] == [True]
    monkeypatch.setattr(decode_together.lone_sections, "FEWEST", 10**6)  # nothing together
    assert {each.verdict for each in bench.take([*group[:2], *group[3:]])} == {"stored"}
    assert bench.stored() == {f"M{number}": 2 for number in range(MANY)}


def test_of_those_together_only_the_batch_that_the_store_refuses_is_rejected(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bench.store.write

    def refusing(group):  # type: ignore[no-untyped-def]
        if any("M8" in block.meters for block in group.blocks):
            raise StoreRefused("never M8")
        return write(group)

    monkeypatch.setattr(bench.store, "write", refusing)
    settled = bench.take(many())
    assert {each.batch.sequence for each in settled if each.verdict == "rejected"} == {8}
    assert bench.stored() == {f"M{number}": 2 for number in range(MANY) if number != 8}


def test_a_group_too_large_for_the_memory_is_left_to_be_taken_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decode_together, "MOST_CELLS", 25)  # a message of two rows is 10
    group = [message(sealed(n, f"M{n}")) for n in range(3)]
    assert len(decode_all(group[:2])) == 2
    with pytest.raises(decode_together.TooMuch):
        decode_all(group)
    monkeypatch.setattr(decode_together, "MOST_CELLS", 5)
    assert isinstance(decode_all(group[:1])[0], Decoded)


def test_a_few_octets_that_open_to_many_are_not_held_together() -> None:
    """A group of a thousand such messages would be 30 GiB; alone each is gone before the next."""
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(16 << 20))
    payload = batch.seal(Kind.READINGS, Encoding.COLUMNS_ZSTD, EPOCH, 1, bomb)
    assert len(payload) < 1024
    group = [message(payload) for _ in range(MANY)]
    tracemalloc.start()
    try:
        attempts = decode_all(group)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(isinstance(each, Refused) for each in attempts)
    assert peak < 2 * (16 << 20)
