"""A group is made durable by one thread while another tells of the one before: what holds then."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.db import registry
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.persist import Stopped
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.latest import LatestValues
from hesper_cloud.settings import BrokerSettings, Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import CommittedRows, Group, StoreUnavailable, Written
from hesper_contracts import receipts
from hesper_contracts.frame import Kind
from hesper_contracts.quality import Quality
from hesper_contracts.signing import Keyring
from ingest_ends import DEADLINE_S, SIGNER, TOPICS, now, sealed
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from tables import make_tables

T0 = now()
GATEWAY = "gw-1"


class Store(DuckDbStore):
    """The embedded store; `committed` tells when a group is durable."""

    hated = ""
    is_down = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.committed: queue.SimpleQueue[Group] = queue.SimpleQueue()

    def write(self, group: Group) -> Written:
        if self.is_down:
            raise StoreUnavailable("it is down")
        if any(self.hated in block.meters for block in group.blocks):
            raise ArithmeticError(f"nobody foresaw {self.hated}")
        written = super().write(group)
        self.committed.put(group)
        return written


class Ear:
    """Hears of rows, or fails at it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[CommittedRows] = []
        self._error = error

    def rows_committed(self, rows: CommittedRows) -> None:
        if self._error is not None:
            raise self._error
        self.heard.append(rows)


class Desk:
    """An ingest role without a broker: groups go in by hand, what it tells is kept."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(state=folder, broker=BrokerSettings(port=1))
        self.engine = open_engine(settings.database.url)
        make_tables(self.engine)
        self.store = Store(folder / "readings.duckdb")
        self.ingest = Ingest(settings, self.store, self.engine, SIGNER, LatestValues())
        self.settling = self.ingest._settling
        self.verdicts: list[tuple[int, str]] = []
        self.acknowledged: list[int] = []
        self.seen: list[CommittedRows] = []
        self.may_tell = threading.Event()
        self.may_tell.set()
        consumer: Any = self.ingest.consumer
        self.settling._answers._receipts._publish = self._published
        consumer.acknowledge = lambda given: self.acknowledged.extend(d.packet for d in given)
        self.ingest._intakes.readings.judges.append(self)

    def _published(self, gateway: str, _kind: Kind, payload: bytes) -> None:
        assert self.may_tell.wait(DEADLINE_S)
        told = receipts.from_payload(payload, Keyring.of(SIGNER.public_key), gateway)
        self.verdicts += [(each.sequence, each.verdict) for each in told.receipts]

    def rows_committed(self, rows: CommittedRows) -> None:
        self.seen.append(rows)

    def group(self, sequence: int, *meters: dict[str, list[tuple[int, int]]]) -> list[Message]:
        return [
            Message(
                TOPICS.up(GATEWAY, Kind.READINGS),
                GATEWAY,
                Kind.READINGS,
                sealed(sequence + place, rows),
                Delivery(1, sequence + place, 1),
                0.0,
                T0,
            )
            for place, rows in enumerate(meters)
        ]

    def beside(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def letters(self) -> list[str]:
        with reading(self.engine) as session:
            return [each.reason for each in session.scalars(select(registry.DeadLetter))]

    def quality(self, meter: str) -> int:
        return self.store.readings(meter, None, 0, T0 + 10**6, 1)[0].quality


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    with made.settling.until_told():
        yield made
        made.may_tell.set()
    made.store.close()
    made.engine.dispose()


def test_a_group_becomes_durable_while_the_one_before_is_told_of(desk: Desk) -> None:
    desk.may_tell.clear()
    desk.settling.settle(desk.group(1, {"M1": [(T0, 100)]}))
    thread = desk.beside(lambda: desk.settling.settle(desk.group(2, {"M1": [(T0 + 1, 101)]})))
    for _ in range(2):
        desk.store.committed.get(timeout=DEADLINE_S)
    assert desk.verdicts == []
    assert desk.acknowledged == []
    desk.may_tell.set()
    thread.join(DEADLINE_S)
    desk.settling.finish()
    assert desk.verdicts == [(1, "stored"), (2, "stored")]
    assert desk.acknowledged == [1, 2]


def test_no_receipt_leaves_before_its_group_is_durable(desk: Desk) -> None:
    desk.settling.settle(desk.group(1, {"M1": [(T0, 100)]}))
    with desk.store._file.lock:  # the next commit has to wait
        thread = desk.beside(lambda: desk.settling.settle(desk.group(2, {"M1": [(T0 + 1, 101)]})))
        desk.settling._telling[1].result(DEADLINE_S)
        assert desk.verdicts == [(1, "stored")]
        assert desk.acknowledged == [1]
    thread.join(DEADLINE_S)
    desk.settling.finish()
    assert desk.verdicts == [(1, "stored"), (2, "stored")]


def test_a_group_is_validated_by_the_one_before_that_nobody_was_told_of_yet(desk: Desk) -> None:
    desk.may_tell.clear()
    desk.settling.settle(desk.group(1, {"M1": [(T0, 100)]}))
    thread = desk.beside(lambda: desk.settling.settle(desk.group(2, {"M1": [(T0 + 1, 50)]})))
    for _ in range(2):
        desk.store.committed.get(timeout=DEADLINE_S)
    assert desk.verdicts == []
    assert desk.quality("M1") & Quality.OUT_OF_ORDER
    desk.may_tell.set()
    thread.join(DEADLINE_S)


def test_rules_compare_with_the_values_before_although_later_ones_are_known(desk: Desk) -> None:
    desk.may_tell.clear()
    desk.settling.settle(desk.group(1, {"M1": [(T0, 100)]}))
    thread = desk.beside(lambda: desk.settling.settle(desk.group(2, {"M1": [(T0 + 1, 101)]})))
    for _ in range(2):
        desk.store.committed.get(timeout=DEADLINE_S)
    desk.may_tell.set()
    thread.join(DEADLINE_S)
    desk.settling.settle(desk.group(3, {"M1": [(T0 + 2, 102)]}))
    desk.settling.finish()
    first, second, third = desk.seen
    assert first.before is None
    assert [int(rows.before[1][0, 0]) for rows in (second, third) if rows.before] == [100, 101]


def test_an_error_in_telling_of_what_is_stored_sets_nothing_aside(desk: Desk) -> None:
    fails = [True]

    def rows_committed(rows: CommittedRows) -> None:
        if fails.pop() if fails else False:
            raise ArithmeticError("nobody foresaw this")
        desk.seen.append(rows)

    desk.rows_committed = rows_committed  # type: ignore[method-assign]
    desk.settling.settle(desk.group(1, {"M1": [(T0, 1)]}, {"M2": [(T0, 2)]}))
    desk.settling.settle(desk.group(3, {"M1": [(T0 + 1, 3)]}))
    desk.settling.finish()
    assert set(desk.verdicts) == {(1, "stored"), (2, "stored"), (3, "stored")}
    assert set(desk.acknowledged) == {1, 2, 3}
    assert desk.letters() == []
    assert len(list(desk.store.export(0, T0 + 10))) == 3
    assert [rows.block.row_count for rows in desk.seen] == [1]


@pytest.mark.parametrize("error", [ArithmeticError("?"), OperationalError("", None, OSError("?"))])
def test_a_rule_that_fails_keeps_nobody_else_from_hearing_of_the_rows(
    desk: Desk, error: Exception
) -> None:
    contacts, readings_in = Ear(), desk.ingest._intakes.readings
    readings_in.judges.insert(0, Ear(error))
    readings_in.followers.insert(0, Ear(error))
    readings_in.followers.append(contacts)
    desk.settling.settle(desk.group(1, {"M1": [(T0, 1)]}, {"M2": [(T0, 2)]}))
    desk.settling.finish()
    assert [rows.block.row_count for rows in desk.seen] == [2]
    assert [rows.block.meters for rows in contacts.heard] == [("M1",), ("M2",)]
    assert desk.acknowledged == [1, 2]


def test_a_rule_that_always_fails_sets_nothing_aside_that_is_stored(desk: Desk) -> None:
    """Nothing tells a batch without an identity that it was stored before."""
    desk.ingest._intakes.readings.judges.insert(0, Ear(ArithmeticError("?")))
    named, *_ = desk.group(1, {"M1": [(T0, 1)]})
    at = datetime.fromtimestamp(T0 + 1, UTC).isoformat()
    row = {"meter": "M1", "captured_at": at, "values": {"1.0.1.8.0.255": [2, 0, 30]}}
    nameless = {"kind": "readings", "version": 1, "readings": [row]}
    desk.settling.settle([named, named._replace(payload=json.dumps(nameless).encode())])
    desk.settling.finish()
    assert desk.letters() == []
    assert len(list(desk.store.export(0, T0 + 10))) == 2


def test_events_that_nobody_foresaw_keep_nobody_from_hearing_of_readings(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    contacts, intakes = Ear(), desk.ingest._intakes
    intakes.readings.followers.append(contacts)
    monkeypatch.setattr(type(intakes.events), "store", Ear(ArithmeticError("?")).rows_committed)
    (first,) = desk.group(1, {"M1": [(T0, 1)]})
    event = first._replace(kind=Kind.EVENTS, topic=TOPICS.up(GATEWAY, Kind.EVENTS))
    desk.settling.settle([first, event._replace(delivery=Delivery(1, 2, 1))])
    desk.settling.finish()
    assert [rows.block.meters for rows in contacts.heard] == [("M1",)]
    assert len(desk.letters()) == 1
    assert sorted(desk.acknowledged) == [1, 2]


def test_what_is_stored_is_not_set_aside_because_it_cannot_be_receipted(desk: Desk) -> None:
    def published(gateway: str, kind: Kind, payload: bytes) -> None:
        raise ArithmeticError("nobody foresaw this")

    desk.settling._answers._receipts._publish = published
    group = desk.group(1, {"M1": [(T0, 1)]})
    desk.settling.settle(group)
    desk.settling.finish()
    assert desk.letters() == []
    assert desk.verdicts == []
    desk.settling._answers._receipts._publish = desk._published
    desk.settling.settle(group)  # the gateway sends it again
    desk.settling.finish()
    assert desk.verdicts == [(1, "stored")]


def test_an_error_in_storing_sets_aside_the_message_at_fault_alone(desk: Desk) -> None:
    desk.store.hated = "M2"
    desk.settling.settle(desk.group(1, {"M1": [(T0, 1)]}))
    desk.settling.settle(desk.group(2, {"M2": [(T0, 2)]}, {"M3": [(T0, 3)]}, {"M4": [(T0, 4)]}))
    desk.settling.settle(desk.group(5, {"M2": [(T0 + 1, 2)]}))
    desk.settling.finish()
    assert desk.verdicts == [
        (1, "stored"), (2, "rejected"), (3, "stored"), (4, "stored"), (5, "rejected")
    ]  # fmt: skip
    assert sorted(desk.acknowledged) == [1, 2, 3, 4, 5]
    assert ["nobody foresaw M2" in reason for reason in desk.letters()] == [True, True]


def test_who_is_stopped_in_the_middle_has_told_of_what_is_durable_and_of_nothing_else(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    first, left = desk.group(1, {"M1": [(T0, 1)]}), desk.group(2, {"M1": [(T0 + 1, 2)]})
    with desk.settling.until_told():
        desk.settling.settle(first)
        desk.store.is_down = True
        desk.ingest._stop.set()
        with pytest.raises(Stopped):
            desk.settling.settle(left)
    assert desk.verdicts == [(1, "stored")]
    assert desk.acknowledged == [1]
    assert len(desk.seen) == 1
    desk.store.close()
    again = Desk(tmp_path)  # the gateway sends it again
    with again.settling.until_told():
        again.settling.settle([*first, *left])
    assert again.verdicts == [(1, "stored"), (2, "stored")]
    assert len(list(again.store.export(0, T0 + 10))) == 2
    again.store.close()
