"""One row that cannot be stored is a dead letter of its own; the others of its batch are stored.

Without a broker: messages go in by hand.
"""

import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hesper_cloud import metrics
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import DeadLetter
from hesper_cloud.erasure.letters import letters_of
from hesper_cloud.ingest import layouts, set_aside
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import Intakes
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.latest import LatestValues
from hesper_cloud.stores import influx_versions
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import ReadingStore
from hesper_contracts import batch, readings
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.topics import Topics
from patience import PATIENCE_S, eventually
from sqlalchemy import select, update
from tables import make_tables

EPOCH = "00112233445566ff"
TOPICS = Topics()
TOPIC = TOPICS.up("roof-1", Kind.READINGS)
T0 = 1_790_000_000
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


class House:
    """The intakes of an ingest on disk."""

    def __init__(self, folder: Path, store: ReadingStore | None = None) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        make_tables(self.engine)
        self.store = store or DuckDbStore(folder / "readings.duckdb")
        letters = DeadLetters(self.engine)
        stop = threading.Event()
        self.intakes = Intakes.build(self.store, self.engine, LatestValues(), letters, stop, TOPICS)

    def take(self, payload: bytes, sender: str = "roof-1") -> list[str]:
        """Takes a message in; returns the verdicts of its receipts."""
        delivery = Delivery(1, 1, 1)
        topic = TOPICS.up(sender, Kind.READINGS)
        came = [Message(topic, sender, Kind.READINGS, payload, delivery, 0.0, time.time())]
        settled, aftermath = self.intakes.readings.store(came, decode_all(came))
        aftermath.tell()
        return [each.verdict for each in settled]

    def values(self, meter: str) -> list[int | None]:
        found = self.store.readings(meter, None, 0, T0 + 10**6, 10_000)
        return [each.values[0].value for each in sorted(found, key=lambda row: row.captured_at)]

    def letters(self) -> list[DeadLetter]:
        with reading(self.engine) as session:
            return list(session.scalars(select(DeadLetter).order_by(DeadLetter.id)).all())

    def replay(self) -> None:
        with writing(self.engine) as session:
            session.execute(update(DeadLetter).values(replay_asked_at=datetime.now(UTC)))
        replays = self.intakes.replays
        replays.try_again(replays.asked_for())

    def close(self) -> None:
        self.store.close()
        self.engine.dispose()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def house_on_influx(tmp_path: Path, influx_url: str) -> Iterator[House]:
    server = InfluxV1(influx_url, f"test-{secrets.token_hex(4)}")
    made = House(tmp_path, InfluxStore(server, sole_writer=True, feed_behind_s=0))
    yield made
    made.close()


def row(meter: str = "M1", at: str | int = T0, value: object = 1, **more: object) -> dict:
    captured_at = at if isinstance(at, str) else datetime.fromtimestamp(at, UTC).isoformat()
    values = {"1.0.1.8.0.255": [value, 0, 30]}
    return {"meter": meter, "captured_at": captured_at, "values": values, **more}


def payload(*rows: dict, sequence: int = 1) -> bytes:
    named = {"epoch": EPOCH, "sequence": sequence}
    told = {"kind": "readings", "version": 1, "batch": named, "readings": rows}
    return json.dumps(told).encode()


def test_json_rows_of_another_century_are_set_aside_alone(house: House) -> None:
    years = ("1969", "0001", "2263", "9999")
    wrong = [row("M2", f"{year}-06-01T00:00:00+00:00", 2) for year in years]
    assert house.take(payload(row(), *wrong, row(at=T0 + 1, value=3))) == ["stored"]
    assert (house.values("M1"), house.values("M2")) == ([1, 3], [])
    letters = house.letters()
    reason = "one row of a batch: captured at a time outside 1970 to 2262"
    assert {(each.topic, each.reason) for each in letters} == {(TOPIC, reason)}
    told = [json.loads(each.payload)["readings"][0]["captured_at"] for each in letters]
    assert told == sorted(each["captured_at"] for each in wrong)


WRONG = (
    (row("M 2"), "cannot name a meter"),
    (row("M2", value=1.5), "Expected `int | null`, got `float`"),
    (row("M2", value=1 << 63), "outside signed 64 bit"),
    (row("M2", at="yesterday"), "Invalid RFC3339"),
    (row("M2", colour="red"), "unknown field `colour`"),
    (row("M2", clock_status=256), "256 is not between 0 and 255"),
    (row("M2", profile="none"), "no logical name"),
    (row("M2", values={}), "has no values"),
    (row("M2", values={"1.0.1.8.0.255": [1, 200, 30]}), "not a signed octet"),
)


def test_json_rows_that_cannot_be_are_set_aside_alone(house: House) -> None:
    whole = payload(row(), *(wrong for wrong, _ in WRONG), row(at=T0 + 1, value=3))
    assert house.take(whole) == ["stored"]
    assert (house.values("M1"), house.values("M2")) == ([1, 3], [])
    for letter, (wrong, reason) in zip(house.letters(), WRONG, strict=True):
        assert reason in letter.reason
        alone = {"kind": "readings", "version": 1, "readings": [wrong]}
        assert json.loads(letter.payload) == alone
    assert house.take(whole) == ["stored"]  # redelivered: known, and no second letters
    assert (len(house.letters()), house.values("M1")) == (len(WRONG), [1, 3])


def test_a_batch_is_not_stored_before_its_wrong_rows_are_kept(house: House) -> None:
    """It is receipted as stored then, and nobody else has them any longer."""
    tries, table = metrics.RETRIES._value.get(), DeadLetter.__tablename__
    wrong = (row("M 2"), row("M2", "9999-06-01T00:00:00+00:00"))
    with house.engine.begin() as registry:
        registry.exec_driver_sql(f"ALTER TABLE {table} RENAME TO away")
    with ThreadPoolExecutor(1) as ingest:
        verdicts = ingest.submit(house.take, payload(row(), *wrong))
        eventually(lambda: metrics.RETRIES._value.get() > tries + 1, "tried again")
        assert house.values("M1") == []
        with house.engine.begin() as registry:
            registry.exec_driver_sql(f"ALTER TABLE away RENAME TO {table}")
        assert verdicts.result(PATIENCE_S) == ["stored"]
    assert (house.values("M1"), len(house.letters())) == ([1], 2)


def test_a_batch_none_of_whose_rows_can_be_is_rejected_whole(house: House) -> None:
    assert house.take(payload(row("M 1"), row("M 2"))) == ["rejected"]
    (letter,) = house.letters()
    assert letter.payload == payload(row("M 1"), row("M 2"))


def test_of_very_many_wrong_rows_some_are_told_and_the_batch_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(set_aside, "_TOLD", 2)
    whole = payload(row(), *(row("M 2", at=T0 + number) for number in range(3)))
    assert house.take(whole) == ["stored"]
    assert house.values("M1") == [1]
    first, second, last = house.letters()
    assert (first.reason, last.payload) == (second.reason, whole)
    assert last.reason.startswith("3 rows cannot be stored, the first: 'M 2' cannot name a meter")


def test_a_row_whose_reason_was_mended_is_replayed_and_any_other_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stricter:  # as a release before might have been
        stricter.setattr("hesper_contracts.readings_json.MOST_STATUS", 7)
        stricter.setattr("hesper_contracts.json_columns.MOST_STATUS", 7)
        early = row("M2", "1969-06-01T00:00:00+00:00")
        assert house.take(payload(row(), row("M2", clock_status=8), early)) == ["stored"]
    assert house.values("M2") == []
    house.replay()
    mended, hopeless = house.letters()
    assert (mended.replayed_at is not None, house.values("M2")) == (True, [1])
    assert hopeless.replayed_at is None
    assert hopeless.reason == "again: captured at a time outside 1970 to 2262"


def test_rows_in_columns_are_set_aside_alike(house: House) -> None:
    rows = [MeterRows("M1", [-86_400, T0], [0, 0], [0, 0], [[1, 2]])]
    encoding, body = readings.encode([Section(LOAD_PROFILE, T0, (ENERGY,), rows)])
    assert house.take(batch.seal(Kind.READINGS, encoding, EPOCH, 1, body)) == ["stored"]
    assert house.values("M1") == [2]
    (letter,) = house.letters()
    assert json.loads(letter.payload)["readings"][0]["captured_at"] == "1969-12-31T00:00:00+00:00"
    assert letters_of(house.engine, TOPICS, "M1").own == [letter.id]


def in_quantity(number: int, at: int, meter: str = "M1") -> dict:
    return row(meter, at, number, values={f"1.0.{number}.8.0.255": [number, 0, 30]})


def test_a_sender_of_ever_other_layouts_is_refused_and_heard_in_those_it_had(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each stays with stores and latest values, where everybody pays for it."""
    monkeypatch.setattr(layouts, "MOST_OF_ONE", 3)
    three = [in_quantity(number, T0 + number) for number in range(1, 4)]
    assert house.take(payload(*three)) == ["stored"]
    fourth = payload(in_quantity(4, T0 + 4), sequence=2)
    assert house.take(fourth) == ["rejected"]
    both = payload(in_quantity(1, T0 + 5), in_quantity(5, T0 + 6), sequence=3)
    assert house.take(both) == ["rejected"]
    assert house.take(payload(in_quantity(3, T0 + 7), sequence=4)) == ["stored"]
    assert house.take(payload(*three)) == ["stored"]  # redelivered
    assert house.take(payload(in_quantity(4, T0 + 8, "M2"), sequence=5), "roof-2") == ["stored"]
    assert house.values("M1") == [1, 2, 3, 3]
    first, second = house.letters()
    assert first.reason.startswith("4 sets of quantities, scalers and units of one sender: at most")
    assert (first.payload, second.payload) == (fourth, both)
    house.replay()
    assert all(each.replayed_at is not None for each in house.letters())
    assert house.values("M1") == [1, 2, 3, 4, 1, 5, 3]


def columnar(sequence: int, *captures: tuple[str, int]) -> bytes:
    value = sequence % 100
    rows = [MeterRows(meter, [at], [0], [0], [[value]]) for meter, at in captures]
    encoding, body = readings.encode([Section(LOAD_PROFILE, T0, (ENERGY,), rows)])
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


def test_a_meter_whose_clock_stands_costs_no_other_meter_its_readings(
    house_on_influx: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InfluxDB holds so many versions of one capture; its gateway sends it among its neighbours."""
    house, delivery = house_on_influx, Delivery(1, 1, 1)
    monkeypatch.setattr(influx_versions, "_MOST_VERSIONS", 3)
    for number in range(6):
        with_it = columnar(number, ("M1", T0), ("M2", T0 + 900 * number))
        beside = columnar(100 + number, ("M3", T0 + 900 * number), ("M4", T0 + 900 * number))
        came = [
            Message(TOPIC, "roof-1", Kind.READINGS, payload, delivery, 0.0, time.time())
            for payload in (with_it, beside)
        ]
        settled, _ = house.intakes.readings.store(came, decode_all(came))
        assert [each.verdict for each in settled] == ["stored", "stored"]
    assert house.values("M2") == house.values("M3") == list(range(6))
    assert sorted(value for value in house.values("M1") if value is not None) == [0, 1, 2]
    told = [json.loads(each.payload)["readings"] for each in house.letters()]
    assert [[each["meter"] for each in rows] for rows in told] == [["M1"]] * 3
    reason = f"one row of a batch: M1 has 3 versions of what it captured at {T0} already"
    assert {each.reason for each in house.letters()} == {reason}
