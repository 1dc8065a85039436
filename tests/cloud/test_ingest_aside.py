"""What ingest doubts or sets aside: foreign gateways, dead letters tried again, batches asked for
again. Without a broker: messages go in by hand.
"""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hand_clock import HandClock
from hesper_cloud.db import registry
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.ingest import dead_letters, owners, send_again
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import Intakes
from hesper_cloud.ingest.message import Delivery, Message, Settled
from hesper_cloud.ingest.send_again import SendsAgain
from hesper_cloud.latest import LatestValues
from hesper_cloud.outages.losses import Losses, told_before
from hesper_cloud.rules import editing
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.definition import Definition
from hesper_cloud.rules.engine import RuleEngine
from hesper_cloud.rules.rounds import Rounds
from hesper_cloud.rules.tamper import clear_acknowledged
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import again, batch, events, readings
from hesper_contracts.again import SendAgain
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Kind
from hesper_contracts.quality import Quality
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import Topics
from sqlalchemy import Engine, event, select, update
from sqlalchemy.exc import OperationalError
from tables import make_tables

EPOCH = "00112233445566ff"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
TOPICS = Topics()
T0 = int(time.time()) - 900


def sealed(sequence: int, meter: str = "M1", at: int = T0, value: int = 10) -> bytes:
    rows = MeterRows(meter, [at], [0], [0], [[value]])
    encoding, body = readings.encode([Section(LOAD_PROFILE, at, (ENERGY,), [rows])])
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


def message(payload: bytes, gateway: str = "gw-1", kind: Kind = Kind.READINGS) -> Message:
    topic = TOPICS.up(gateway, kind)
    return Message(topic, gateway, kind, payload, Delivery(1, 1, 1), 0.0, time.time())


class Bench:
    """The intakes of an ingest on disk."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        make_tables(self.engine)
        self.store = DuckDbStore(folder / "readings.duckdb")
        self.letters = DeadLetters(self.engine)
        self.told = self.batches = 0
        self.restart()

    def restart(self) -> None:
        stop = threading.Event()
        latest = LatestValues()
        self.intakes = Intakes.build(self.store, self.engine, latest, self.letters, stop, TOPICS)

    def take(self, payload: bytes, gateway: str = "gw-1") -> list[Settled]:
        arrived = [message(payload, gateway)]
        settled, aftermath = self.intakes.readings.store(arrived, decode_all(arrived))
        aftermath.tell()
        return settled

    def quality(self, meter: str) -> list[int]:
        found = self.store.readings(meter, None, 0, T0 + 10**6, 100)
        return [each.quality for each in sorted(found, key=lambda each: each.captured_at)]

    def rows(self, model: type) -> Sequence:
        with reading(self.engine) as session:
            return session.scalars(select(model).order_by(model.id)).all()

    def tell(
        self,
        code: str,
        gateway: str = "gw-1",
        meter: str | None = "M1",
        name: str = "",
        ago_h: float = 0,
    ) -> list[str]:
        """Tells an event, by an id of its own or a given one; returns how the alerts stand."""
        self.told += 1
        at = datetime.now(UTC) - timedelta(hours=ago_h)
        event = Event(id=name or f"e/{self.told}", code=code, occurred_at=at, meter=meter)
        return self.tell_all([event], gateway)

    def tell_all(self, told: Iterable[Event], gateway: str = "gw-1") -> list[str]:
        """Tells events in one batch; returns how the alerts stand."""
        self.batches += 1
        payload = events.to_payload(EventList(tuple(told)), EPOCH, self.batches)
        (settled,) = self.intakes.events.store([message(payload, gateway, Kind.EVENTS)])
        assert settled.verdict == "stored"
        return [f"{alert.rule} {alert.state}" for alert in self.rows(registry.Alert)]

    def meter_of(self, meter: str, gateway: str) -> None:
        """Puts a meter behind a gateway, as commissioning does."""
        with writing(self.engine) as session:
            for each in ("gw-1", "gw-2"):
                if session.get(registry.Gateway, each) is None:
                    session.add(registry.Gateway(id=each, attributes={}))
            session.flush()
            now = datetime.now(UTC)
            row = registry.Meter(id=meter, state="commissioned", first_seen_at=now)
            row.gateway_id = gateway
            session.merge(row)

    def ask_replay(self) -> None:
        now = datetime.now(UTC)
        with writing(self.engine) as session:
            session.execute(update(registry.DeadLetter).values(replay_asked_at=now))
        replays = self.intakes.replays
        replays.try_again(replays.asked_for())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()
    made.engine.dispose()


def test_readings_through_a_foreign_gateway_are_stored_marked_and_told(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")
    bench.restart()
    assert bench.take(sealed(1))[0].verdict == "stored"
    assert bench.take(sealed(1, at=T0 + 1), "gw-2")[0].verdict == "stored"
    bench.take(sealed(2, at=T0 + 2), "gw-2")
    assert bench.quality("M1") == [0, Quality.FOREIGN_GATEWAY, Quality.FOREIGN_GATEWAY]
    (alert,) = bench.rows(registry.Alert)
    assert (alert.rule, alert.meter, alert.gateway) == (owners.RULE, "M1", "gw-2")
    assert alert.state == "new"


def test_a_meter_that_was_moved_is_believed_and_its_alert_clears(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")
    bench.restart()
    bench.take(sealed(1), "gw-2")
    bench.meter_of("M1", "gw-2")
    bench.restart()
    bench.take(sealed(2, at=T0 + 1), "gw-2")
    assert bench.quality("M1") == [Quality.FOREIGN_GATEWAY, 0]
    assert bench.rows(registry.Alert)[0].state == "cleared"


def test_a_move_is_noticed_without_a_restart_once_it_is_looked_up_again(bench: Bench) -> None:
    clock = HandClock()
    bench.meter_of("M1", "gw-1")
    readings_in = bench.intakes.readings
    readings_in._owners = owners.Owners(bench.engine, readings_in._alarms, clock)
    bench.take(sealed(1), "gw-2")
    bench.meter_of("M1", "gw-2")
    bench.take(sealed(2, at=T0 + 1), "gw-2")
    clock.now += 60
    bench.take(sealed(3, at=T0 + 2), "gw-2")
    foreign = int(Quality.FOREIGN_GATEWAY)
    assert bench.quality("M1") == [foreign, foreign, 0]


def test_a_meter_nobody_commissioned_belongs_to_who_brings_it_first(bench: Bench) -> None:
    bench.take(sealed(1), "gw-2")
    bench.take(sealed(1, at=T0 + 1), "gw-1")
    assert bench.quality("M1") == [0, Quality.FOREIGN_GATEWAY]


def test_who_brought_a_meter_first_is_not_believed_once_it_is_behind_another(bench: Bench) -> None:
    clock = HandClock()
    readings_in = bench.intakes.readings
    readings_in._owners = owners.Owners(bench.engine, readings_in._alarms, clock)
    readings_in._owners.flush()
    bench.take(sealed(1), "gw-2")
    bench.meter_of("M1", "gw-1")
    readings_in._owners.flush()
    bench.take(sealed(2, at=T0 + 1), "gw-2")
    clock.now += 300
    readings_in._owners.flush()
    bench.take(sealed(3, at=T0 + 2), "gw-2")
    assert bench.quality("M1") == [0, 0, Quality.FOREIGN_GATEWAY]
    assert [alert.gateway for alert in bench.rows(registry.Alert)] == ["gw-2"]


def test_a_gateway_that_goes_on_is_told_of_again_and_each_one_by_itself(bench: Bench) -> None:
    clock = HandClock()
    readings_in = bench.intakes.readings
    bench.meter_of("M1", "gw-1")
    readings_in._owners = owners.Owners(bench.engine, readings_in._alarms, clock)

    def sent(sequence: int, gateway: str) -> list[str]:
        clock.now += 300
        readings_in._owners.flush()
        bench.take(sealed(sequence, at=T0 + sequence), gateway)
        return [f"{alert.gateway} {alert.state}" for alert in bench.rows(registry.Alert)]

    assert sent(1, "gw-2") == ["gw-2 new"]
    assert sent(2, "gw-3") == ["gw-2 new", "gw-3 new"]
    long_ago = datetime.now(UTC) - timedelta(days=2)
    with writing(bench.engine) as session:
        dealt_with = {"state": "acknowledged", "acknowledged_at": long_ago}
        session.execute(update(registry.Alert).values(dealt_with))
    clear_acknowledged(bench.engine, datetime.now(UTC))
    assert sent(3, "gw-2") == ["gw-2 cleared", "gw-3 cleared", "gw-2 new"]


def test_a_meter_that_was_commissioned_after_the_start_belongs_to_its_gateway(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")
    bench.take(sealed(1), "gw-2")
    bench.take(sealed(1, at=T0 + 1), "gw-1")
    assert bench.quality("M1") == [Quality.FOREIGN_GATEWAY, 0]
    assert [alert.gateway for alert in bench.rows(registry.Alert)] == ["gw-2"]


def test_a_tamper_alert_is_ended_by_the_meters_own_gateway_alone(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")

    planted = "tamper.foreign_gateway new"
    assert bench.tell("tamper.cover_opened") == ["tamper.cover new"]
    assert bench.tell("tamper.cover_closed", "gw-2") == ["tamper.cover new", planted]
    assert bench.tell("tamper.cover_closed") == ["tamper.cover cleared", planted]
    assert bench.tell("tamper.magnet_detected", "gw-2")[2:] == ["tamper.magnet new"]


@pytest.mark.parametrize("meter", ["M1", None])
def test_what_is_read_late_ends_no_tamper_alert_that_began_since(
    bench: Bench, meter: str | None
) -> None:
    def tell(code: str, ago_h: float) -> list[str]:
        return bench.tell(code, meter=meter, ago_h=ago_h)

    assert tell("tamper.cover_opened", 2) == ["tamper.cover new"]
    assert tell("tamper.cover_opened", 9) == ["tamper.cover new"]
    assert tell("tamper.cover_closed", 8) == ["tamper.cover new"]  # a log of long ago
    assert tell("tamper.cover_closed", 1) == ["tamper.cover cleared"]
    assert tell("tamper.cover_opened", 1.5) == ["tamper.cover cleared"] * 2
    assert tell("tamper.cover_opened", -9)[2:] == ["tamper.cover new"]  # by a clock that is ahead
    assert tell("tamper.cover_closed", 0)[2:] == ["tamper.cover cleared"]


@pytest.mark.parametrize("meter", ["M1", None])
@pytest.mark.parametrize(
    ("log", "alerts"),
    [
        ("oc", ["tamper.cover cleared"]),
        ("co", ["tamper.cover new"]),
        ("oco", ["tamper.cover new"]),
        ("ococ", ["tamper.cover cleared"] * 2),
    ],
)
def test_of_a_log_that_is_read_at_once_the_last_word_counts(
    bench: Bench, meter: str | None, log: str, alerts: list[str]
) -> None:
    names = {"o": "tamper.cover_opened", "c": "tamper.cover_closed"}

    def read(days_ago: int) -> list[str]:
        at = datetime.now(UTC) - timedelta(days=days_ago)
        return bench.tell_all(
            Event(
                id=f"{days_ago}/{n}", code=names[word], occurred_at=at + n * timedelta(hours=1),
                meter=meter,
            )
            for n, word in enumerate(log)
        )  # fmt: skip

    assert read(3) == alerts
    stands = bench.tell("tamper.cover_opened", meter=meter)
    assert stands[-1] == "tamper.cover new"
    assert read(30) == stands  # long ago: the cover is open since


def test_of_what_another_gateway_tells_no_rule_concludes_anything(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")
    alerts = Alerts(bench.engine)
    said = {"kind": "event", "codes": ["relay.closed_by_hand"], "ended_by": ["relay.opened"]}
    definition = Definition.model_validate({"title": "r", "condition": said})
    with writing(bench.engine) as session:
        by = ("ann", datetime.now(UTC))
        editing.save(session, alerts, "r", definition, (*by, ""))
        editing.set_state(session, alerts, "r", "on", by)
    rules = RuleEngine(bench.engine, alerts)
    bench.intakes.event_followers.extend([rules.event_stored, Losses().event_stored])

    planted = "tamper.foreign_gateway new"
    for code in ("relay.closed_by_hand", "power.down"):
        assert bench.tell(code, "gw-2") == [planted]
    assert bench.rows(registry.PowerLoss) == []
    assert bench.tell("relay.closed_by_hand") == [planted, "r new"]
    assert bench.tell("relay.opened", "gw-2") == [planted, "r new"]
    Rounds(bench.engine, alerts, LatestValues(), lambda: datetime.now(UTC)).turn()
    bench.tell("power.down")
    bench.tell("power.up", "gw-2")
    with writing(bench.engine) as session:
        told_before(session, datetime.now(UTC))
    assert [loss.back_at for loss in bench.rows(registry.PowerLoss)] == [None]
    assert bench.tell("relay.opened") == [planted, "r cleared"]


@pytest.mark.parametrize(
    ("meter", "planted"),
    [(None, 0), ("M2", 0), ("M1", 1)],
    ids=["about itself", "about its own meter", "about the other's"],
)
def test_no_gateway_swallows_anothers_event_by_its_id(
    bench: Bench, meter: str | None, planted: int
) -> None:
    bench.meter_of("M1", "gw-1")
    bench.meter_of("M2", "gw-2")
    name = "M1/1790000000/tamper.cover_opened"
    assert len(bench.tell("test.x", "gw-2", meter, name)) == planted
    assert bench.tell("tamper.cover_opened", name=name)[planted:] == ["tamper.cover new"]
    bench.tell("tamper.cover_opened", name=name)  # read twice
    mine, theirs = bench.rows(registry.Event)[::-1]
    assert (theirs.id, theirs.gateway) == (name, "gw-2")
    assert (mine.gateway, mine.meter, mine.code) == ("gw-1", "M1", "tamper.cover_opened")
    bench.tell("test.y", "gw-2", meter, mine.id)  # nor by what it is stored under
    bench.tell("test.z", "gw-1", "M1", mine.id)
    codes = sorted(event.code for event in bench.rows(registry.Event))
    assert codes == ["tamper.cover_opened", "test.x", "test.y", "test.z"]


def test_a_meters_log_is_read_twice_though_it_moved_meanwhile(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")
    bench.tell("tamper.cover_opened", name="M1/1")
    bench.meter_of("M1", "gw-2")
    bench.tell("tamper.cover_opened", "gw-2", name="M1/1")
    assert [event.gateway for event in bench.rows(registry.Event)] == ["gw-1"]


def test_a_batch_of_very_many_foreign_meters_is_looked_up_in_parts(bench: Bench) -> None:
    readings_in = bench.intakes.readings
    names = [f"M{number}" for number in range(260_000)]
    readings_in._owners._of.update(dict.fromkeys(names, "gw-1"))
    readings_in._owners._ask_again(names)


def in_sections(sequence: int, meters: Sequence[str]) -> bytes:
    """Returns a batch with a section for each meter."""
    sections = [
        Section(LOAD_PROFILE, T0, (ENERGY,), [MeterRows(meter, [T0 + sequence], [0], [0], [[1]])])
        for meter in meters
    ]
    encoding, body = readings.encode(sections)
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


def test_the_registry_is_asked_once_of_the_meters_of_all_sections(bench: Bench) -> None:
    """One statement a section held everybody up for seconds, a commit for each alert as well."""
    names = [f"M{number}" for number in range(60)]
    statements: list[str] = []
    event.listen(bench.engine, "before_cursor_execute", lambda *found: statements.append(found[2]))
    assert bench.take(in_sections(1, names), "gw-1")[0].verdict == "stored"
    assert len(statements) < 10  # nobody knew of these meters
    for name in names:
        bench.meter_of(name, "gw-1")
    bench.restart()
    statements.clear()
    assert bench.take(in_sections(2, names), "gw-2")[0].verdict == "stored"
    assert len(statements) < 40
    assert bench.quality("M59") == [0, Quality.FOREIGN_GATEWAY]
    assert len(bench.rows(registry.Alert)) == 60


def test_an_alert_that_could_not_be_written_is_told_by_the_next_try(bench: Bench) -> None:
    bench.meter_of("M1", "gw-1")
    bench.restart()
    refused: list[str] = []

    def locked_once(*found: Any) -> None:
        if found[2].startswith("INSERT INTO alerts") and not refused:
            refused.append(found[2])
            raise OperationalError(found[2], {}, Exception("database is locked"))

    event.listen(bench.engine, "before_cursor_execute", locked_once)
    assert bench.take(sealed(1), "gw-2")[0].verdict == "stored"
    assert [alert.meter for alert in bench.rows(registry.Alert)] == ["M1"]
    assert refused


def test_a_letter_that_fails_unforeseen_on_its_replay_stays_and_ends_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.letters.add(TOPICS.up("gw-1", Kind.READINGS), sealed(1), "unforeseen ValueError: x")

    def failing(_: object) -> None:
        raise ValueError("still not foreseen")

    monkeypatch.setattr(bench.intakes.readings, "store_rows", failing)
    bench.ask_replay()
    (letter,) = bench.rows(registry.DeadLetter)
    assert (letter.replayed_at, letter.replay_asked_at) == (None, None)
    assert letter.reason == "again: unforeseen ValueError: still not foreseen"


def test_a_dead_letter_is_tried_again_and_stays_with_its_outcome(bench: Bench) -> None:
    bench.take(sealed(1, value=10))
    assert bench.take(sealed(1, value=11, at=T0 + 5))[0].verdict == "rejected"
    bench.take(b"{")
    bench.ask_replay()
    mended, hopeless = bench.rows(registry.DeadLetter)
    assert (mended.replayed_at is not None, mended.replay_asked_at) == (True, None)
    assert (hopeless.replayed_at, hopeless.replay_asked_at) == (None, None)
    assert hopeless.reason.startswith("again: ")
    assert len(bench.quality("M1")) == 2
    bench.intakes.replays._due_at = 0.0
    bench.ask_replay()
    assert len(bench.quality("M1")) == 2  # repeated, and no news


def test_dead_events_are_tried_again_and_results_are_not(bench: Bench) -> None:
    now = datetime.now(UTC)
    told = EventList((Event(id="e1", code="gateway.x", occurred_at=now),))
    payload = events.to_payload(told, EPOCH, 9)
    bench.letters.add(TOPICS.up("gw-1", Kind.EVENTS), payload, "a code that was unknown")
    bench.letters.add(TOPICS.up("gw-1", Kind.RESULTS), b"HX1s", "not signed")
    bench.ask_replay()
    done, left = bench.rows(registry.DeadLetter)
    assert done.replayed_at is not None
    assert "not tried again" in left.reason
    assert [row.id for row in bench.rows(registry.Event)] == ["e1"]


def test_dead_letters_are_bounded_in_octets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "_PRUNE_OCTETS", 1)
    letters = DeadLetters(bench.engine, kept=100, kept_octets=250)
    for number in range(5):
        letters.add("x", bytes([number]) * 100, "because")
    assert [row.payload[0] for row in bench.rows(registry.DeadLetter)] == [3, 4]


def test_what_gave_way_to_newer_letters_is_kept_when_it_comes_again(bench: Bench) -> None:
    letters = DeadLetters(bench.engine, kept=2)
    for payload in (b"old", b"new", b"newer", b"newest", b"old", b"newest"):
        letters.add("x", payload, "because")
    assert [row.payload for row in bench.rows(registry.DeadLetter)] == [b"newer", b"newest", b"old"]


def test_a_wish_for_batches_leaves_signed_and_once(bench: Bench) -> None:
    signer = Signer.generate()
    left: list[tuple[str, Kind, bytes]] = []
    sends = SendsAgain(bench.engine, signer, lambda *what: left.append(what), HandClock())
    with writing(bench.engine) as session:
        send_again.ask(session, "gw-1", EPOCH, 7)
        send_again.ask(session, "gw-2", send_again.PRESENT_EPOCH, 0)
    sends.flush()
    SendsAgain(bench.engine, signer, lambda *what: left.append(what), HandClock()).flush()
    keys = Keyring.of(signer.public_key)
    assert [kind for _, kind, _ in left] == [Kind.AGAIN, Kind.AGAIN]
    assert [again.from_payload(payload, keys, gateway) for gateway, _, payload in left] == [
        SendAgain("gw-1", EPOCH, 7),
        SendAgain("gw-2", None, 0),
    ]
