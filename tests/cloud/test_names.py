"""How many meters that are not commissioned behind it one sender may name, and what becomes of the
rest. Without a broker: messages go in by hand.
"""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hand_clock import HandClock
from hesper_cloud.db import migrate, registry
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import DeadLetter, Meter
from hesper_cloud.ingest.contacts import Contacts
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import Intakes
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.owners import Owners
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import batch, events, readings
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.topics import Topics
from sqlalchemy import select, update

EPOCH = "00112233445566ff"
TOPICS = Topics()
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
T0 = int(time.time()) - 900
MOST = 3


class House:
    """The intakes of an ingest on disk, where a sender may name three meters."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        migrate.upgrade(self.engine, "registry")
        self.store = DuckDbStore(folder / "readings.duckdb")
        self.sequence = 0
        self.clock = HandClock()
        self.restart()

    def restart(self) -> None:
        stop, letters = threading.Event(), DeadLetters(self.engine)
        self.intakes = Intakes.build(
            self.store, self.engine, LatestValues(), letters, stop, TOPICS, MOST
        )
        self.contacts = Contacts(self.engine)
        self.intakes.readings.followers.append(self.contacts)
        owners = Owners(self.engine, Alerts(self.engine), self.clock, MOST)
        self.intakes.readings._owners = owners

    def take(self, *meters: str, gateway: str = "gw-1") -> str:
        """Takes a message in with a reading of each meter; returns the verdict of its receipt."""
        return self.take_all([(gateway, meters)])[0]

    def take_all(self, told: list[tuple[str, tuple[str, ...]]]) -> list[str]:
        """Takes a group of messages in; returns the verdicts, in their order."""
        came = []
        for gateway, meters in told:
            self.sequence += 1
            rows = [MeterRows(meter, [T0 + self.sequence], [0], [0], [[1]]) for meter in meters]
            encoding, body = readings.encode([Section(LOAD_PROFILE, T0, (ENERGY,), rows)])
            payload = batch.seal(Kind.READINGS, encoding, EPOCH, self.sequence, body)
            topic, delivery = TOPICS.up(gateway, Kind.READINGS), Delivery(1, 1, 1)
            came.append(Message(topic, gateway, Kind.READINGS, payload, delivery, 0.0, time.time()))
        settled, aftermath = self.intakes.readings.store(came, decode_all(came))
        aftermath.tell()
        self.contacts.flush(at_once=True)
        verdicts = {each.batch.sequence: each.verdict for each in settled}
        return [verdicts[number] for number in sorted(verdicts)]

    def tell(self, code: str, *meters: str, gateway: str = "gw-1") -> str:
        """Takes a message in with an event of each meter; returns the verdict of its receipt."""
        self.sequence += 1
        at = datetime.now(UTC)
        told = tuple(
            Event(id=f"{self.sequence}/{meter}", code=code, occurred_at=at, meter=meter)
            for meter in meters
        )
        payload = events.to_payload(EventList(told), EPOCH, self.sequence)
        topic, delivery = TOPICS.up(gateway, Kind.EVENTS), Delivery(1, 1, 1)
        came = Message(topic, gateway, Kind.EVENTS, payload, delivery, 0.0, time.time())
        return self.intakes.events.store([came])[0].verdict

    def alerts(self, *gateways: str | None) -> set[tuple[str, str | None]]:
        """Returns rules and meters of the alerts that name one of the gateways, or none."""
        with reading(self.engine) as session:
            query = select(Alert.rule, Alert.meter, Alert.gateway)
            return {(rule, meter) for rule, meter, of in session.execute(query) if of in gateways}

    def stored(self, meter: str) -> int:
        return len(self.store.readings(meter, None, 0, T0 + 10**6, 100))

    def reasons(self) -> list[str]:
        with reading(self.engine) as session:
            return list(session.scalars(select(DeadLetter.reason).order_by(DeadLetter.id)))

    def commission(self, *meters: str) -> None:
        with writing(self.engine) as session:
            session.merge(registry.Gateway(id="gw-1", attributes={}))
            session.flush()
            for meter in meters:
                now = datetime.now(UTC)
                row = Meter(id=meter, state="commissioned", first_seen_at=now, gateway_id="gw-1")
                session.merge(row)

    def replay(self) -> None:
        with writing(self.engine) as session:
            session.execute(update(DeadLetter).values(replay_asked_at=datetime.now(UTC)))
        self.intakes.replays._due_at = 0.0
        self.intakes.replays.try_again(self.intakes.replays.asked_for())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()
    made.engine.dispose()


def test_what_is_named_beyond_the_bound_is_a_dead_letter_and_the_rest_is_stored(
    house: House,
) -> None:
    house.commission("C1", "C2", "C3", "C4")
    house.restart()
    assert house.take("C1", "C2", "C3", "C4", "N1", "N2", "N3") == "stored"
    assert house.reasons() == []
    assert house.take("C1", "N1", "N4") == "stored"
    assert [house.stored(meter) for meter in ("C1", "N1", "N4")] == [2, 2, 0]
    (reason,) = house.reasons()
    assert "names 1 meters beyond 3" in reason
    assert "commission its meters or raise [ingest] most_uncommissioned_meters" in reason
    assert house.take("N5", "N6") == "rejected"  # nothing of it is taken: its sender keeps it
    assert house.take("N5", gateway="gw-2") == "stored"  # each sender has its own
    assert house.take("C1", "C2", "C3", "C4", "N1", "N2", "N3") == "stored"
    assert len(house.reasons()) == 2


def test_a_restart_forgets_no_name(house: House) -> None:
    house.take("N1", "N2")
    house.restart()
    assert house.take("N3", "N4") == "stored"
    assert (house.stored("N3"), house.stored("N4")) == (1, 0)
    house.restart()
    assert house.take("N5") == "rejected"
    assert house.take("N1", "N2", "N3") == "stored"


def test_who_commissions_makes_room_and_what_was_set_aside_is_taken_then(house: House) -> None:
    house.take("N1", "N2", "N3")
    assert house.take("N4", "N5") == "rejected"
    house.commission("N1", "N5")
    house.clock.now += 5
    house.replay()
    assert (house.stored("N4"), house.stored("N5")) == (1, 1)
    with reading(house.engine) as session:
        assert session.scalars(select(DeadLetter.replayed_at)).one() is not None


def test_of_what_was_set_aside_a_new_try_takes_what_there_is_room_for(house: House) -> None:
    house.take("N1", "N2", "N3")
    house.take("N4", "N5")
    house.commission("N4")
    house.clock.now += 5
    for _ in range(2):
        house.replay()
        assert (house.stored("N4"), house.stored("N5")) == (1, 0)
        (reason,) = house.reasons()  # the letter stays, for the rest
        assert reason.startswith("again: names 1 meters beyond 3")
    house.commission("N5")
    house.clock.now += 5
    house.replay()
    assert (house.stored("N4"), house.stored("N5")) == (1, 1)


def test_small_batches_that_are_decoded_together_are_told_apart(house: House) -> None:
    told = [("gw-1", (f"N{number}",)) for number in range(5)]
    assert house.take_all(told) == ["stored"] * 3 + ["rejected"] * 2
    assert [house.stored(f"N{number}") for number in range(5)] == [1, 1, 1, 0, 0]


def test_several_senders_beyond_the_bound_are_each_told(house: House) -> None:
    names = tuple(f"N{number}" for number in range(6))
    assert house.take_all([("gw-1", names[:4]), ("gw-2", names[3:]), ("gw-3", names[:1])]) == [
        "stored", "stored", "stored"
    ]  # fmt: skip
    assert [house.stored(name) for name in names] == [2, 1, 1, 1, 1, 1]
    assert len(house.reasons()) == 1


def test_meters_of_other_gateways_count(house: House) -> None:
    house.commission("C1", "C2", "C3", "C4")
    house.restart()
    assert house.take("C1", "C2", "C3", gateway="gw-2") == "stored"
    assert house.take("C4", gateway="gw-2") == "rejected"
    house.restart()
    assert house.take("C4", "N1", gateway="gw-2") == "rejected"
    assert house.take("C1", "C2", "C3", "C4") == "stored"


def test_meters_that_only_identify_themselves_count(house: House) -> None:
    assert house.tell("meter.identified", *(f"N{n}" for n in range(5))) == "stored"
    with reading(house.engine) as session:
        assert session.scalars(select(Meter.id).order_by(Meter.id)).all() == ["N0", "N1", "N2"]
        assert len(session.scalars(select(registry.Event.id)).all()) == 5


def test_events_of_meters_beyond_the_bound_are_stored_and_nothing_is_concluded(
    house: House,
) -> None:
    house.commission("C1", "C2", "C3", "C4")
    house.restart()
    opened = "tamper.cover_opened"
    assert house.tell(opened, *(f"N{n}" for n in range(5)), "C1") == "stored"
    named = {("tamper.cover", "N0"), ("tamper.cover", "N1"), ("tamper.cover", "N2")}
    told = {*named, ("tamper.cover", "C1"), ("tamper.too_many_meters", None)}
    assert house.alerts("gw-1", None) == told
    assert house.tell(opened, "N5", "N6", "C2") == "stored"
    assert house.alerts("gw-1", None) == {*told, ("tamper.cover", "C2")}
    assert house.tell("power.noise", *(f"C{n}" for n in range(1, 5)), gateway="gw-2") == "stored"
    planted = {("tamper.foreign_gateway", f"C{n}") for n in range(1, 4)}
    assert house.alerts("gw-2") == {*planted, ("tamper.too_many_meters", None)}
    house.commission("N5")
    house.tell(opened, "N5")
    assert ("tamper.cover", "N5") in house.alerts(None)
    with reading(house.engine) as session:
        assert len(session.scalars(select(registry.Event.id)).all()) == 14
