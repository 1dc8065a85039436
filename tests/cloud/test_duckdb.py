"""What the embedded store promises beyond the contract: crashes, failed writes, disk form."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from full_disk import room_for
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.stores import duckdb_file
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_schema import ROW_GROUP
from hesper_cloud.stores.duckdb_writes import halved
from hesper_cloud.stores.port import (
    Block,
    Group,
    Integers,
    Quantity,
    StoreRefused,
    StoreUnavailable,
)
from hesper_cloud.stores.sequences import MOST_INTERVALS, StoredSequences
from hesper_contracts import columns, readings
from hesper_contracts.batch import BatchId
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Section

T0 = 1_790_000_100
EPOCH = "00112233445566ff"
ENERGY = readings.Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)

THROUGH_NO_LOG = 17_000
"""Rows of one write that DuckDB puts into the file itself, see `duckdb_file`."""

WRITER = """
import sys
from pathlib import Path
import numpy as np
from hesper_cloud.stores import duckdb_file
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_schema import ROW_GROUP
from hesper_cloud.stores.duckdb_writes import halved
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts.batch import BatchId

store = DuckDbStore(Path(sys.argv[1]))
count = int(sys.argv[3])
n = np.arange(count)
for sequence in range(int(sys.argv[2]), 100_000):
    block = Block(
        "1.0.99.1.0.255", (Quantity("1.0.1.8.0.255", 0, 30),), tuple(f"M{i}" for i in range(count)),
        n, np.full(count, 1_790_000_100 + sequence), np.zeros(count, np.int64),
        np.zeros(count, np.int64), 0, (n + sequence)[None, :], None,
    )
    store.write(Group({BatchId("gw-1", "00112233445566ff", sequence): "ab" * 32}, [block], 1))
    print(sequence, flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    yield made
    made.close()


def block(rows: dict[str, list[tuple[int, int | None]]]) -> Block:
    meters = [
        MeterRows(m, [t for t, _ in p], [0] * len(p), [0] * len(p), [[v for _, v in p]])
        for m, p in rows.items()
    ]
    return block_of(columns.from_sections([Section(LOAD_PROFILE, T0, (ENERGY,), meters)])[0])


def write_until_killed(path: Path, first: int, count: int, rows: int = 500) -> int:
    """Runs a writer in a process of its own, kills it after some commits; the last one told."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(first), str(rows)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(count)]
    writer.kill()
    told += [int(line) for line in writer.stdout if line.strip().isdigit()]
    writer.stdout.close()
    writer.wait()
    return told[-1]


@pytest.mark.parametrize(("rows", "kills"), [(500, (3, 17, 8)), (THROUGH_NO_LOG, (2, 3))])
def test_whatever_was_told_as_stored_survives_sigkill_whole_and_once(
    tmp_path: Path, rows: int, kills: tuple[int, ...]
) -> None:
    path = tmp_path / "readings.duckdb"
    first = 0
    for commits in kills:
        last = write_until_killed(path, first, commits, rows)
        store = DuckDbStore(path)
        ids = [BatchId("gw-1", EPOCH, n) for n in range(last + 3)]
        known = {batch.sequence for batch in store.known(ids)}
        assert known >= set(range(last + 1))
        stored = [(r.captured_at - T0, r.meter, r.values[0].value) for r in store.export(0, 2**33)]
        assert sorted(stored) == sorted(
            (n, f"M{i}", n + i) for n in known for i in range(rows)
        )  # no torn batch, none twice
        store.close()
        first = last  # redelivery: the last one is written again, and changes nothing


def test_a_large_group_goes_past_the_log(tmp_path: Path) -> None:
    path, log = tmp_path / "readings.duckdb", tmp_path / "readings.duckdb.wal"
    write_until_killed(path, 0, 1, 500)
    small = log.stat().st_size
    write_until_killed(path, 100, 2, THROUGH_NO_LOG)
    assert log.stat().st_size < small + THROUGH_NO_LOG  # not an octet for each row


def test_large_groups_are_inserted_in_halves_of_whole_row_groups() -> None:
    for rows, halves in (
        (0, []),
        (2 * ROW_GROUP - 1, [2 * ROW_GROUP - 1]),
        (2 * ROW_GROUP, [ROW_GROUP, ROW_GROUP]),
        (3 * ROW_GROUP + 7, [2 * ROW_GROUP, ROW_GROUP + 7]),
        (7 * ROW_GROUP, [4 * ROW_GROUP, 3 * ROW_GROUP]),
    ):
        table = pa.table({"place": np.arange(rows)})
        chunks = halved(table).column("place").iterchunks()
        assert [len(chunk) for chunk in chunks if len(chunk)] == halves
        assert halved(table).equals(table)


def test_rows_stand_in_the_order_in_which_they_were_written(store: DuckDbStore) -> None:
    values = np.arange(5 * ROW_GROUP)[np.newaxis]
    for sequence in range(2):
        store.write(random_group(sequence, (Quantity("1.0.1.8.0.255", 0, 30),), values))
    by_row = "SELECT commit_number, v0 FROM readings ORDER BY rowid"
    stored = store._file.connection.execute(by_row).fetchall()
    assert stored == [(n, v) for n in (1, 2) for v in range(5 * ROW_GROUP)]


def test_a_file_that_grew_is_opened_anew_while_nobody_reads(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "_RENEW_ROWS", 4)
    store.write(Group({}, [block({"A": [(T0, 1), (T0 + 1, 2)], "B": [(T0, 3), (T0 + 1, 4)]})], 1))
    first = store._file.connection
    rows = store.export(0, 2**33)
    next(rows)
    assert store.write(Group({}, [block({"A": [(T0 + 2, 5)]})], 2)).new == 1
    assert store._file.connection is first, "somebody reads"
    assert len(list(rows)) == 3, "of the time when reading began"

    again = block({"A": [(T0 + 2, 5)], "C": [(T0, 6)]})
    assert store.write(Group({BatchId("gw-1", EPOCH, 1): "ab" * 32}, [again], 3)).new == 1
    assert store._file.connection is not first
    renewed = store._file.connection
    assert store.write(Group({}, [block({"D": [(T0, 7)]})], 4)).new == 1
    assert store._file.connection is renewed, "it grew by little since"
    assert store.known([BatchId("gw-1", EPOCH, 1)]) == {BatchId("gw-1", EPOCH, 1): "ab" * 32}
    assert sorted((r.meter, r.values[0].value) for r in store.export(0, 2**33)) == [
        *(("A", value) for value in (1, 2, 5)),
        *(("B", value) for value in (3, 4)),
        *(("C", 6), ("D", 7)),
    ]


def test_a_file_that_cannot_be_opened_anew_is_tried_again(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "_RENEW_ROWS", 1)
    store.write(Group({}, [block({"A": [(T0, 1)]})], 1))
    later = Group({}, [block({"A": [(T0 + 1, 2)]})], 2)
    with monkeypatch.context() as away:
        away.setattr(duckdb_file, "attached", refusing)
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="no such disk"):
                store.write(later)
            with pytest.raises(StoreUnavailable):
                list(store.export(0, 2**33))
    assert store.write(later).new == 1
    assert [r.values[0].value for r in store.export(0, 2**33)] == [1, 2]


def refusing(path: Path, memory_mib: int) -> duckdb.DuckDBPyConnection:
    raise duckdb.IOException(f"{path} ({memory_mib} MiB): no such disk")


def test_more_is_stored_than_may_be_kept_in_memory(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "readings.duckdb", memory_mib=32)
    values = np.random.default_rng(1).integers(-(2**62), 2**62, (8, 20_000))
    quantities = tuple(Quantity(f"1.0.{number}.8.0.255", 0, 30) for number in range(1, 9))
    for sequence in range(40):
        store.write(random_group(sequence, quantities, values + sequence))
    assert (tmp_path / "readings.duckdb").stat().st_size > 32 << 20
    held = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
    assert store._file.connection.execute(held).fetchall()[0][0] <= 32 << 20
    (reading,) = store.readings("M7", None, T0 + 39, T0 + 40, 10)
    assert [each.value for each in reading.values] == (values[:, 7] + 39).tolist()
    store.close()


def random_group(sequence: int, quantities: tuple[Quantity, ...], values: Integers) -> Group:
    count = values.shape[1]
    same, zeros = np.full(count, T0 + sequence), np.zeros(count, np.int64)
    meters = tuple(f"M{number}" for number in range(count))
    rows = Block(
        *("1.0.99.1.0.255", quantities, meters, np.arange(count)),
        *(same, zeros, zeros, T0, values, None),
    )
    return Group({BatchId("gw-1", EPOCH, sequence): "ab" * 32}, [rows], 1)


def test_latest_rows_are_found_in_little_memory(tmp_path: Path) -> None:
    """However many rows a meter has: a start must not need room for all of them."""
    store, meters, n = DuckDbStore(tmp_path / "readings.duckdb", memory_mib=48), 2000, 50
    names = tuple(f"M{number}" for number in range(meters))
    random = np.random.default_rng(4)
    ranks: dict[str, tuple[int, int, int]] = {}
    for turn in range(8):
        index, zeros = np.repeat(np.arange(meters), n), np.zeros(meters * n, np.int64)
        captured = T0 + turn * n + np.tile(np.arange(n), meters)
        captured += random.integers(0, 2, meters)[index] * 10_000 * (8 - turn)  # clocks ahead
        values = random.integers(0, 10**12, (8, meters * n))
        quantities = tuple(Quantity(f"1.0.{place}.8.0.255", 0, 30) for place in range(1, 9))
        rows = (
            "1.0.99.1.0.255",
            quantities,
            names,
            index,
            captured,
            zeros,
            zeros,
            T0 + turn * n + 25,
        )
        store.write(Group({}, [Block(*rows, values, None)], 1000))
        ahead = np.minimum(captured, rows[-1]).tolist()
        found = zip(ahead, captured.tolist(), values[0].tolist(), strict=True)
        for meter, row in zip(index.tolist(), found, strict=True):
            known = ranks.get(names[meter], (0, 0, 0))
            ranks[names[meter]] = max(known, row, key=lambda each: each[:2])
    store._file.connection.execute("SET max_temp_directory_size = '0KiB'")
    latest = {
        meter: (int(block.captured_at[place]), int(block.values[0, place]))
        for block, _ in store.latest_rows()
        for place, meter in enumerate(block.meters)
    }
    assert latest == {meter: row[1:] for meter, row in ranks.items()}
    store.close()


def test_a_write_that_fails_half_way_leaves_nothing_behind(store: DuckDbStore) -> None:
    good = block({"M1": [(T0, 1)]})
    batch = BatchId("gw-1", EPOCH, 1)
    for wrong in (replace(good, meter_index=np.array([7])), replace(good, values=np.array([[]]))):
        with pytest.raises((IndexError, ValueError, StoreRefused)):
            store.write(Group({batch: "x"}, [good, wrong], T0))
        assert list(store.export(0, 2**33)) == []
        assert store.known([batch]) == {}
    assert store.write(Group({batch: "x"}, [good], T0)).new == 1
    assert [reading.meter for reading in store.export(0, 2**33)] == ["M1"]


def test_stored_sequences_are_intervals() -> None:
    stored = StoredSequences([("gw", EPOCH, 5, 9)])
    for sequence in (10, 4, 12, 11, 0):
        stored.add(BatchId("gw", EPOCH, sequence))
    assert [n for n in range(15) if BatchId("gw", EPOCH, n) in stored] == [0, *range(4, 13)]
    assert BatchId("gw", "f" * 16, 5) not in stored
    assert BatchId("other", EPOCH, 5) not in stored


@pytest.mark.parametrize("step", [0, 2])
def test_one_gateway_fills_no_memory_with_outboxes_or_holes(step: int) -> None:
    stored = StoredSequences([("other", EPOCH, 0, 9)])
    several = [
        BatchId("gw", EPOCH if step else f"{number:016x}", number * step)
        for number in range(2 * MOST_INTERVALS)
    ]
    for batch in several:
        stored.add(batch)
    assert [batch for batch in several if batch in stored] == several[MOST_INTERVALS:]
    assert BatchId("other", EPOCH, 5) in stored


def test_the_outbox_in_use_is_known_longest() -> None:
    stored = StoredSequences()
    for number in range(3 * MOST_INTERVALS):
        stored.add(BatchId("gw", f"{number:016x}", 0))
        stored.add(BatchId("gw", "f" * 16, number))
    assert all(BatchId("gw", "f" * 16, number) in stored for number in range(3 * MOST_INTERVALS))


def test_as_many_outboxes_are_known_after_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "MOST_INTERVALS", 3)
    path = tmp_path / "readings.duckdb"
    batches = [BatchId("gw", f"{number:016x}", 7) for number in range(5)]
    store = DuckDbStore(path)
    for number, batch in enumerate([*batches, batches[4]]):
        store._file.stored = StoredSequences()  # the last was forgotten, and comes twice
        store.write(Group({batch: "x"}, [], T0 + 60_000 * number))
    store.close()
    store = DuckDbStore(path)
    assert list(store.known(batches)) == batches[2:]
    store.close()


@pytest.mark.parametrize("kind", ["store", "book"])
def test_what_is_closed_while_somebody_reads_gives_the_answer_and_opens_again(
    tmp_path: Path, kind: str
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def held(number: int) -> int:
        began.set()
        go_on.wait(60)
        return number

    def opened() -> tuple[Any, Any]:
        if kind == "book":
            book = EnergyBook(tmp_path / "energy.duckdb")
            return book, book._cursor
        store = DuckDbStore(tmp_path / "readings.duckdb")
        return store, store._file.cursor

    def read(cursor_of: Any) -> int:
        with cursor_of() as cursor:
            cursor.create_function("held", held, ["BIGINT"], "BIGINT")
            return int(cursor.execute("SELECT held(7)").fetchall()[0][0])

    first, cursor_of = opened()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(read, cursor_of)
        assert began.wait(60)
        first.close()
        go_on.set()
        assert answer.result() == 7
    again, _ = opened()
    again.close()


def test_readers_are_not_disturbed_by_a_writer(store: DuckDbStore) -> None:
    store.write(Group({}, [block({f"M{n}": [(T0, n)] for n in range(50)})], T0))
    rows: Any = store.export(0, 2**33)
    first = next(rows)
    store.write(Group({}, [block({f"M{n}": [(T0 + 900, n)] for n in range(50)})], T0))
    assert 1 + len(list(rows)) == 50
    assert first.captured_at == T0


def written_until_full(store: DuckDbStore, groups: list[Group]) -> int:
    for count, group in enumerate(groups):
        try:
            store.write(group)
        except StoreUnavailable:
            return count
    return len(groups)


def test_a_full_disk_loses_nothing_and_is_over_when_there_is_room(
    store: DuckDbStore, tmp_path: Path
) -> None:
    batches = [BatchId("gw-1", EPOCH, n) for n in range(200)]
    blocks = [block({f"M{n}": [(T0 + 900 * k, k * n) for k in range(300)]}) for n in range(200)]
    groups = [Group({batch: "x"}, [each], T0) for batch, each in zip(batches, blocks, strict=True)]
    with room_for(400_000):
        stored = written_until_full(store, groups)
    assert 0 < stored < 199
    assert set(store.known(batches)) == set(batches[:stored])
    assert [store.write(group).new for group in groups[stored:]] == [300] * (200 - stored)
    with room_for(4096), pytest.raises(StoreUnavailable):
        store.maintain(T0 + 10**7)
    assert list((tmp_path / "readings.sealed").iterdir()) == []
    store.maintain(T0 + 10**7)
    rows = [(r.meter, r.captured_at) for r in store.export(0, 2**33)]
    assert len(rows) == len(set(rows)) == 200 * 300
