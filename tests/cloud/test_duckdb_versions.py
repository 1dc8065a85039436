"""What many rows of one capture, and many layouts in one group, cost the embedded store."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group
from hesper_contracts import columns
from hesper_contracts.batch import BatchId
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section

T0 = 1_790_000_100
ROWS = 3000
CPU_S = 20.0
"""Row against row it was many minutes, and all of the memory."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    yield made
    made.close()


def quantity(number: int, scaler: int = 0) -> Quantity:
    return Quantity(bytes((1, 0, 1, 8, number, 255)), scaler, 30)


def group(sequence: int, *blocks: Block) -> Group:
    return Group({BatchId("gw-1", "00112233445566ff", sequence): "ab" * 32}, blocks, T0 * 1000)


def block(rows: MeterRows, *quantities: Quantity) -> Block:
    section = Section(LOAD_PROFILE, T0, quantities, [rows])
    return block_of(columns.from_sections([section])[0])


def versions_of_one_capture(first: int, scaler: int = 0) -> Block:
    nothing, values = [0] * ROWS, list(range(first, first + ROWS))
    return block(MeterRows("M1", [T0] * ROWS, nothing, nothing, [values]), quantity(0, scaler))


def test_a_few_octets_that_repeat_a_capture_thousands_of_times_hold_nobody_up(
    store: DuckDbStore,
) -> None:
    begun = time.process_time()
    told = [
        store.write(group(sequence, versions_of_one_capture(first, scaler)))
        for sequence, (first, scaler) in enumerate([(0, 0), (ROWS, 0), (0, 0), (0, -1)])
    ]
    assert time.process_time() - begun < CPU_S
    assert [(each.new, each.duplicate, each.conflicting) for each in told] == [
        (1, 0, ROWS - 1), (0, 0, ROWS), (0, ROWS, 0), (0, 0, ROWS)
    ]  # fmt: skip


class Counting:
    """A connection that counts its statements."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.counts: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.counts[name] += 1
        return getattr(self._connection, name)


def statements(store: DuckDbStore, sequence: int, layouts: int) -> int:
    """Writes a group of new layouts, two rows of the same capture in each; counts statements."""
    counting: Any = Counting(store._file.connection)
    store._file.connection = store._file.catalogue.connection = counting
    first = 100 * sequence
    blocks = [
        block(MeterRows("M1", [T0, T0], [0, 0], [0, 0], [[1, 2]]), quantity(first + number))
        for number in range(layouts)
    ]
    written = store.write(group(sequence, *blocks))
    assert written.new + written.conflicting == 2 * layouts
    return int(counting.counts["execute"])


def test_many_layouts_in_a_group_take_no_more_statements_than_a_few(store: DuckDbStore) -> None:
    store.write(group(0, block(MeterRows("M1", [T0], [0], [0], [[7]]), quantity(255))))
    assert statements(store, 1, layouts=60) == statements(store, 2, layouts=2)


def test_versions_are_told_apart_as_by_hand(store: DuckDbStore) -> None:
    """Rows of a few captures, values and quantities, often empty, against sets of what they say."""
    chance = random.Random(17)
    known: dict[int, set[frozenset[tuple[int, int]]]] = {}
    for sequence in range(30):
        blocks, expected = [], Counter[str]()
        for _ in range(chance.randint(1, 4)):
            numbers = chance.sample(range(10), chance.randint(1, 9))
            times = [T0 + 900 * chance.randint(0, 5) for _ in range(chance.randint(1, 6))]
            rows = [[chance.choice((None, 1, 2)) for _ in times] for _ in numbers]
            nothing = [0] * len(times)
            blocks.append(
                block(MeterRows("M1", times, nothing, nothing, rows), *map(quantity, numbers))
            )
            for place, at in enumerate(times):
                pairs = zip(numbers, (column[place] for column in rows), strict=True)
                said = frozenset((number, value) for number, value in pairs if value is not None)
                versions = known.setdefault(at, set())
                kind = "conflicting" if versions else "new"
                expected["duplicate" if said in versions else kind] += 1
                versions.add(said)
        written = store.write(group(sequence, *blocks))
        found = {"new": written.new, "duplicate": written.duplicate}
        assert found | {"conflicting": written.conflicting} == {
            kind: expected[kind] for kind in ("new", "duplicate", "conflicting")
        }
    revisions = sum(len(versions) - 1 for versions in known.values())
    assert sum(reading.revision > 0 for reading in store.export(0, T0 + 10**6)) == revisions
