"""How a group goes out to InfluxDB: bodies at once, what a failure leaves, what is asked."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hesper_cloud.stores import influx_batches, influx_writes
from hesper_cloud.stores.influx_batches import Batches
from hesper_cloud.stores.influx_commits import Commits
from hesper_cloud.stores.influx_day_sums import DaySums, Kind
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_server import Table
from hesper_cloud.stores.influx_writes import InfluxWriter
from hesper_cloud.stores.port import Block, Group, Quantity, StoreUnavailable
from hesper_cloud.stores.stepped_sums import DAY_S
from hesper_contracts.batch import BatchId

PROFILE = "1.0.99.1.0.255"
T0 = 1_790_000_100
TOGETHER_S = 60.0
EPOCH = "00112233445566ff"


class Server:
    """Takes lines, knows nothing; every write waits for company where that is asked for."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.company: threading.Barrier | None = None
        self.refused = 0
        self.refuses: bytes | None = None
        self.queries = 0
        self.under_way = 0
        self._lock = threading.Lock()

    def write(self, lines: bytes, _precision: str) -> None:
        with self._lock:
            self.under_way += 1
            refused, self.refused = self.refused > 0, max(0, self.refused - 1)
            refused |= self.refuses is not None and lines.startswith(self.refuses)
        if self.company is not None:
            self.company.wait(TOGETHER_S)
        with self._lock:
            self.under_way -= 1
            if refused:
                raise StoreUnavailable("not now")
            self.bodies.append(lines)

    def query(self, _influxql: str, _precision: str = "s") -> Iterator[Table]:
        self.queries += 1
        return iter(())


class Store:
    """A writer between two such servers: one for readings, one for the ledger."""

    def __init__(self) -> None:
        self.readings, self.ledger = Server(), Server()
        self.batches = Batches(self.ledger, sole_writer=True)
        self.days = DaySums(self.ledger, keep_days=0)
        commits = Commits(self.ledger, sole_writer=True, behind_s=0)
        self.writer = InfluxWriter(
            self.readings,
            Layouts(self.ledger, sole_writer=True),
            (self.batches, commits),
            (self.days, None),
            sole_writer=True,
            keep_days=0,
        )

    def write(self, sequence: int, count: int) -> int:
        captured = T0 + 10**6 * sequence + np.arange(count)
        none = np.zeros(count, np.int64)
        block = Block(
            PROFILE, (Quantity("1.0.1.8.0.255", 0, 30),), ("M1",), none, captured, none,
            none, T0, np.arange(count)[None, :], None,
        )  # fmt: skip
        batch = BatchId("gw-1", EPOCH, sequence)
        return self.writer.write(Group({batch: "ab"}, [block], T0 * 1000)).new

    def captures(self) -> list[int]:
        lines = b"".join(self.readings.bodies).decode().splitlines()
        return sorted(int(line.rsplit(" ", 1)[1]) for line in lines)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(influx_writes, "_LINES_PER_WRITE", 10)
    monkeypatch.setattr(influx_writes, "_LEAST_OCTETS", 1)
    return Store()


def test_two_bodies_of_lines_are_on_their_way_at_once(store: Store) -> None:
    store.readings.company = threading.Barrier(2)
    assert store.write(1, 40) == 40
    assert [body.count(b"\n") for body in store.readings.bodies] == [10] * 4
    assert store.captures() == [T0 + 10**6 + n for n in range(40)]


def test_when_one_is_not_taken_none_is_left_under_way_and_all_go_again(store: Store) -> None:
    store.readings.refused = 1
    with pytest.raises(StoreUnavailable):
        store.write(1, 40)
    assert store.readings.under_way == 0
    assert store.batches.known([BatchId("gw-1", EPOCH, 1)]) == {}
    store.readings.bodies.clear()
    assert store.write(1, 40) == 40
    assert len(store.captures()) == 40


def test_commit_and_batch_ids_become_durable_in_one_write(store: Store) -> None:
    store.write(1, 5)
    store.ledger.bodies.clear()
    store.write(2, 5)
    intent, end = store.ledger.bodies
    assert intent.startswith(b"intents,")
    assert [line.split(b",")[0] for line in end.splitlines()] == [b"commits", b"batches"]


def test_no_reading_is_written_before_its_intent_is(store: Store) -> None:
    store.ledger.refuses = b"intents,"
    with pytest.raises(StoreUnavailable):
        store.write(1, 40)
    assert store.readings.bodies == []


def test_no_late_reading_is_written_before_the_sums_of_its_day_are_void(store: Store) -> None:
    levels = Kind(False, PROFILE)
    with store.days.summing(levels) as work:
        store.days.keep(work, {(T0 + 10**6) // DAY_S: {}})
    store.ledger.refuses = b"sums,"
    with pytest.raises(StoreUnavailable):
        store.write(1, 40)
    assert store.readings.bodies == []
    store.ledger.refuses = None
    assert store.write(1, 40) == 40
    assert b" void=" in b"".join(store.ledger.bodies)


def test_a_batch_without_rows_is_known_afterwards(store: Store) -> None:
    assert store.write(1, 5) == 5
    store.readings.bodies.clear()
    nothing = Block(
        PROFILE, (Quantity("1.0.1.8.0.255", 0, 30),), (), *(np.zeros(0, np.int64),) * 4, T0,
        np.zeros((1, 0), np.int64), None,
    )  # fmt: skip
    batch = BatchId("gw-1", EPOCH, 2)
    assert store.writer.write(Group({batch: "cd"}, [nothing], T0 * 1000)).new == 0
    assert store.readings.bodies == []
    assert store.batches.known([batch]) == {batch: "cd"}


def test_a_batch_that_comes_again_soon_costs_no_query(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx_batches, "_REMEMBERED", 2)
    ids = [BatchId("gw-1", EPOCH, sequence) for sequence in (1, 2, 3, 4)]
    assert store.batches.known(ids) == {}  # as ingest asks of each batch, before it is stored
    for sequence in (1, 2, 3):
        store.write(sequence, 1)
    store.ledger.queries = 0
    assert store.batches.known(ids[1:]) == {ids[1]: "ab", ids[2]: "ab"}
    assert store.ledger.queries == 0
    assert store.batches.known(ids[:1]) == {}  # the server is asked; this one forgets
    assert store.ledger.queries == 1


def requests(count: int) -> tuple[int, int]:
    """Writes a group of many layouts, two versions of the same capture in each; counts requests."""
    store, none = Store(), np.zeros(2, np.int64)
    blocks = [
        Block(
            PROFILE, (Quantity(f"1.0.{number}.8.0.255", 0, 30),), ("M1",), none, none + T0, none,
            none, T0, np.arange(2)[None, :], None,
        )
        for number in range(count)
    ]  # fmt: skip
    written = store.writer.write(Group({BatchId("gw-1", EPOCH, 1): "ab"}, blocks, T0 * 1000))
    assert (written.new, written.conflicting) == (1, 2 * count - 1)
    lines = b"".join(store.readings.bodies).decode().splitlines()
    layouts = b"".join(store.ledger.bodies).count(b"quantities=")
    assert (len(lines), layouts) == (1 + 2 * (2 * count - 1), count)
    both = store.readings, store.ledger
    return sum(len(each.bodies) for each in both), sum(each.queries for each in both)


def test_many_layouts_in_a_group_take_no_more_requests_than_a_few() -> None:
    assert requests(60) == requests(2)
