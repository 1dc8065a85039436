"""What a gateway says of a meter behind another one: kept apart, believed by nobody, and taken over
once the meter is commissioned there. Without a broker: messages go in by hand.
"""

import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hand_clock import HandClock
from hesper_cloud.db import migrate, registry
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.erasure import rows as erasing
from hesper_cloud.erasure.rows import Extent
from hesper_cloud.exports.republish import Republish
from hesper_cloud.ingest import adoption
from hesper_cloud.ingest.adoption import Adoption
from hesper_cloud.ingest.contacts import Contacts
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import CacheFeed, Intakes
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.job_settings import RepublishSettings
from hesper_cloud.latest import LatestValues
from hesper_cloud.quantities import LOAD_PROFILE as LOAD
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.rules.voltage import RULE, VoltageRule
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.apart import apart
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.validation.dirty import DirtyDays
from hesper_contracts import batch, readings
from hesper_contracts.frame import Kind
from hesper_contracts.quality import Quality
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.topics import Topics
from sqlalchemy import func, select

EPOCH = "00112233445566ff"
TOPICS = Topics()
ENERGY, VOLTS = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30), Quantity(b"\1\0\x20\7\0\xff", 0, 35)
NAME = "1.0.1.8.0.255"
T0 = int(time.time()) - 900


class House:
    """The intakes of an ingest on disk, with those who follow what is stored."""

    def __init__(self, folder: Path, store: ReadingStore) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        migrate.upgrade(self.engine, "registry")
        self.store = store
        self.sequence = 0
        self.clock = HandClock()
        self.restart()

    def restart(self) -> None:
        stop = threading.Event()
        self.latest = LatestValues()
        self.latest.load(self.store)
        letters = DeadLetters(self.engine)
        self.intakes = Intakes.build(self.store, self.engine, self.latest, letters, stop, TOPICS)
        self.contacts, self.dirty = Contacts(self.engine), DirtyDays(self.engine)
        self.alerts = Alerts(self.engine)
        into = self.intakes.readings
        into.witnesses.append(CacheFeed(self.latest))
        into.judges.append(VoltageRule(self.alerts, RuleSettings()))
        into.followers += [self.contacts, self.dirty]
        self.adoption = Adoption(
            self.engine, self.store, TOPICS, into, self.intakes.owners, stop, self.clock
        )

    def take(self, gateway: str, *rows: tuple[str, int, int], of: Quantity = ENERGY) -> None:
        """Takes a message in: meters, times and values."""
        self.sequence += 1
        told = [MeterRows(meter, [at], [0], [0], [[value]]) for meter, at, value in rows]
        encoding, body = readings.encode([Section(LOAD_PROFILE, T0, (of,), told)])
        payload = batch.seal(Kind.READINGS, encoding, EPOCH, self.sequence, body)
        topic, delivery = TOPICS.up(gateway, Kind.READINGS), Delivery(1, 1, 1)
        came = [Message(topic, gateway, Kind.READINGS, payload, delivery, 0.0, time.time())]
        settled, aftermath = self.intakes.readings.store(came, decode_all(came))
        assert [each.verdict for each in settled] == ["stored"]
        aftermath.tell()

    def behind(self, gateway: str, meter: str = "M1") -> None:
        """Commissions a meter."""
        with writing(self.engine) as session:
            session.merge(registry.Gateway(id=gateway, attributes={}))
            session.flush()
            now = datetime.now(UTC)
            row = registry.Meter(id=meter, state="commissioned", first_seen_at=now)
            row.gateway_id = gateway
            session.merge(row)

    def adopt(self) -> int:
        """Takes over what is due, until nothing is; returns how much it was."""
        count = 0
        while some := self.adoption.due():
            self.adoption.take_over(some)
            count += len(some)
        return count

    def curve(self, meter: str = "M1") -> list[tuple[int, int | None, int]]:
        found = self.store.series(meter, LOAD, NAME, T0 - 10**6, T0 + 10**6, None)
        times = [at - T0 for at in found.times]
        return list(zip(times, found.values, found.quality, strict=True))

    def rows(self, model: type) -> Sequence:
        with reading(self.engine) as session:
            return session.scalars(select(model)).all()

    def newest(self, meter: str = "M1") -> int | None:
        found = self.latest.value(meter, NAME)
        return None if found is None else found.value


@pytest.fixture(params=["duckdb", "influx"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "duckdb":
        store: ReadingStore = DuckDbStore(tmp_path / "readings.duckdb")
    else:
        url = request.getfixturevalue("influx_url")
        server = InfluxV1(url, f"test-{secrets.token_hex(4)}")
        store = InfluxStore(server, sole_writer=True, feed_behind_s=0)
    made = House(tmp_path, store)
    made.behind("gw-1")
    yield made
    store.close()
    made.engine.dispose()


def test_a_planted_reading_is_no_value_of_its_meter_and_hides_none(house: House) -> None:
    house.take("gw-1", ("M1", T0, 100))
    house.take("gw-2", ("M1", T0, 7), ("M1", T0 + 60, 8), ("M2", T0, 5))
    assert (house.newest(), house.newest("M2")) == (100, 5)
    house.take("gw-1", ("M1", T0 + 60, 101))  # what was planted first does not stand in its way
    assert house.curve() == [(0, 100, 0), (60, 101, 0)]
    house.restart()
    assert house.newest() == 101
    kept = house.store.readings("M1", apart(LOAD, "gw-2"), 0, T0 + 10**6, 10)
    assert [(row.captured_at - T0, row.quality) for row in kept] == [
        (60, Quality.FOREIGN_GATEWAY), (0, Quality.FOREIGN_GATEWAY)
    ]  # fmt: skip
    assert house.curve("M2") == [(0, 5, 0)]


def test_nothing_that_is_planted_ends_an_alert_or_counts_as_contact(house: House) -> None:
    subject = Subject(RULE, meter="M1")
    told = Telling(subject, "warning", "low", datetime.fromtimestamp(T0, UTC))
    house.alerts.raise_all([told])
    house.restart()
    house.take("gw-2", ("M1", T0 + 60, 230), of=VOLTS)
    house.contacts.flush(at_once=True)
    states = {alert.rule: alert.state for alert in house.rows(registry.Alert)}
    assert states == {RULE: "new", "tamper.foreign_gateway": "new"}
    (meter,) = house.rows(registry.Meter)
    assert (meter.last_contact_at, house.latest.last_captured()) == (None, {})
    house.dirty.flush(at_once=True)
    assert house.rows(registry.DirtyDay) == []
    house.take("gw-1", ("M1", T0 + 61, 230), of=VOLTS)
    assert {alert.rule: alert.state for alert in house.rows(registry.Alert)}[RULE] == "cleared"


def test_readings_of_a_moved_meter_count_once_it_is_commissioned_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "_PAGE", 2)
    house.take("gw-1", ("M1", T0, 100))
    for n in range(1, 6):
        house.take("gw-2", ("M1", T0 + n, 100 + n))
    house.take("gw-3", ("M1", T0 + 2, 1))
    assert house.adopt() == 0
    house.behind("gw-2")
    house.restart()  # whenever it is
    assert house.adopt() == 1
    assert house.curve() == [(n, 100 + n, 0) for n in range(6)]
    assert house.newest() == 105
    states = {alert.gateway: alert.state for alert in house.rows(registry.Alert)}
    assert states == {"gw-2": "cleared", "gw-3": "new"}
    house.dirty.flush(at_once=True)
    assert {day.meter for day in house.rows(registry.DirtyDay)} == {"M1"}
    house.contacts.flush(at_once=True)
    assert house.rows(registry.Meter)[0].last_contact_at is not None


def test_what_another_consumer_keeps_apart_meanwhile_is_taken_over_too(house: House) -> None:
    house.take("gw-2", ("M1", T0, 100))
    house.behind("gw-2")
    assert house.adopt() == 1
    house.intakes.owners._of["M1"] = "gw-1"  # as one who has looked it up before
    house.intakes.owners._asked_at["M1"] = time.monotonic()
    house.take("gw-2", ("M1", T0 + 1, 101))
    assert house.curve() == [(0, 100, 0)]
    house.clock.now += 30
    assert house.adopt() == 0
    house.clock.now += 30
    assert house.adopt() == 1
    assert house.curve() == [(0, 100, 0), (1, 101, 0)]
    house.clock.now += 60
    assert (house.adopt(), house.rows(registry.KeptApart)) == (0, [])


def test_other_systems_hear_of_it_once_it_counts(house: House) -> None:
    feed = Republish(None, RepublishSettings(), house.store, Path())  # type: ignore[arg-type]

    def told() -> list[str]:
        return [each.kind for each in feed._messages(house.store.changes("", 100).readings)]

    house.take("gw-2", ("M1", T0, 100))
    assert told() == []
    house.behind("gw-2")
    assert house.adopt() == 1
    assert told() == [LOAD]


def test_who_is_erased_leaves_nothing_apart(house: House) -> None:
    house.take("gw-2", ("M1", T0, 100), ("M2", T0, 1))
    house.take("gw-1", ("M2", T0, 1))
    house.store.erase("M1")
    assert house.store.readings("M1", None, 0, T0 + 10**6, 10) == []
    with writing(house.engine) as session:
        erasing.erase(session, Extent("M1", None, None), [], datetime.now(UTC))
        subjects = session.scalars(select(registry.KeptApart.meter)).all()
    assert subjects == ["M2"]


def test_a_store_that_is_away_keeps_what_is_apart_on_record_first(house: House) -> None:
    """So nothing is stored apart of which nobody knows."""

    def fails(_: object) -> None:
        with reading(house.engine) as session:
            assert session.scalar(select(func.count()).select_from(registry.KeptApart)) == 1
        raise KeyboardInterrupt

    house.store.write = fails  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        house.take("gw-2", ("M1", T0, 100))
