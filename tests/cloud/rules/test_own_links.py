"""Broker, store or consumers away: one alert each, and meters are not called silent for it."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from full_disk import room_for
from hesper_cloud import metrics
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Alert, ConsumerTold, Gateway, Meter
from hesper_cloud.ingest.heartbeat import Heartbeat
from hesper_cloud.ingest.persist import until_stored
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.own_links import BROKER, BrokerLoss, OwnLinks, away_since
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.settings import BrokerSettings, IngestSettings, RuleSettings, Settings
from hesper_cloud.stores.port import StoreUnavailable
from patience import PATIENCE_S
from pydantic import ValidationError
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Elsewhere:
    """One more consumer, a process on another machine whose clock is wrong."""

    def __init__(self, hour: "Hour") -> None:
        self.hour = hour
        self.runs = self.hears = self.stores = True

    def tell(self) -> None:
        if self.runs:
            told_at = self.hour.now - timedelta(hours=2)
            with writing(self.hour.engine) as session:
                session.merge(
                    ConsumerTold(
                        instance="second", told_at=told_at, hears=self.hears, stores=self.stores
                    )
                )


class Hour:
    """One head end whose clock is set by hand, looked at every five seconds."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.now, self.passed_s = engine, NOON, 0
        self.alerts = Alerts(engine, lambda: self.now)
        self.settings = Settings(broker=BrokerSettings(host="hub", port=1))
        self.hears = True
        self.heart = Heartbeat(
            engine,
            self.settings.ingest.instance,
            lambda: self.hears,
            lambda: float(self.passed_s),
            lambda: self.now,
        )
        self.others: list[Elsewhere] = []
        self.links = self.judge()

    def judge(self) -> OwnLinks:
        return OwnLinks(self.engine, self.settings, self.alerts, lambda: self.now)

    def tick(self) -> None:
        self.now += timedelta(seconds=5)
        self.passed_s += 5

    def passes(self, seconds: int, *, refusing: bool = False) -> None:
        for _ in range(seconds // 5):
            self.tick()
            if refusing:
                metrics.RETRIES.inc()
            self.heart.flush()
            for other in self.others:
                other.tell()
            self.links.turn()

    def open(self) -> dict[str, str]:
        with Session(self.engine) as session:
            rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
            return {row.rule: row.text for row in rows}


@pytest.fixture
def hour(engine: Engine) -> Iterator[Hour]:
    yield Hour(engine)
    metrics.STORE_ANSWERS.set(1)


def test_a_broker_that_is_away_is_one_alert_with_its_address_until_it_is_back(hour: Hour) -> None:
    hour.hears = False
    hour.passes(60)
    assert hour.open() == {}, "a restart of the broker is no news"
    hour.passes(5)
    assert "no connection to the broker hub:1: no meter is heard" in hour.open()["broker-lost"]
    hour.hears = True
    hour.passes(5)
    assert hour.open() == {}


def test_a_clock_that_is_set_back_hides_no_lost_broker(hour: Hour) -> None:
    hour.hears = False
    hour.passes(5)
    hour.now -= timedelta(days=1)
    hour.passes(65)
    assert list(hour.open()) == ["broker-lost"]


def test_what_is_away_is_so_since_it_was_first_seen_and_not_since_it_was_told(hour: Hour) -> None:
    hour.hears = False
    hour.passes(65)
    with Session(hour.engine) as session:
        assert away_since(session) == {BROKER: NOON + timedelta(seconds=5)}


def test_a_store_that_takes_nothing_is_one_alert_and_no_answer(hour: Hour) -> None:
    hour.hears = False  # ingest comes to the broker when it has read from the store
    hour.passes(65, refusing=True)
    assert list(hour.open()) == ["store-away"]
    assert "gateways keep what they read" in hour.open()["store-away"]
    assert metrics.STORE_ANSWERS._value.get() == 0
    hour.hears = True
    hour.passes(5)
    assert hour.open() == {}
    assert metrics.STORE_ANSWERS._value.get() == 1


def test_a_store_that_lets_everybody_wait_is_away_though_it_seldom_refuses(hour: Hour) -> None:
    tries, asked, answers = iter(["", "stored"]), Event(), Event()

    def write() -> str:
        if not (said := next(tries)):
            raise StoreUnavailable("no answer in 30 s")
        asked.set()
        answers.wait(PATIENCE_S)
        return said

    with ThreadPoolExecutor(1) as writer:
        written = writer.submit(until_stored, write, Event())
        asked.wait(PATIENCE_S)
        hour.passes(70)
        told = list(hour.open())
        answers.set()
        assert written.result(PATIENCE_S) == "stored"
    assert told == ["store-away"]
    hour.passes(5)
    assert hour.open() == {}


def test_an_alert_of_before_the_restart_is_cleared_by_the_next_process(hour: Hour) -> None:
    hour.hears = False
    hour.passes(65)
    hour.links = hour.judge()
    hour.hears = True
    hour.passes(5)
    assert hour.open() == {}


def test_a_registry_that_takes_nothing_is_said_once_and_once_that_it_does_again(
    hour: Hour, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    hour.heart.flush()
    (grows,) = tmp_path.glob("hesper.db-wal")
    with room_for(grows.stat().st_size):
        for _ in range(100):
            hour.tick()
            hour.heart.flush()
    hour.passes(10)
    first, last = caplog.messages
    assert first.startswith("telling the registry how this consumer is put off")
    assert last.endswith("goes on; it was put off 100 times")


def test_meters_are_not_silent_while_nothing_can_be_heard(hour: Hour) -> None:
    with writing(hour.engine) as session:
        session.add(Gateway(id="gw-1", first_seen_at=NOON, state="online"))
        session.add(
            Meter(id="M1", gateway_id="gw-1", first_seen_at=NOON, last_contact_at=NOON,
                  capture_period_s=900)
        )  # fmt: skip
    rule = SilenceRule(hour.engine, hour.alerts, RuleSettings(silent_after_s=60), lambda: hour.now)
    hour.hears = False
    hour.passes(300)
    rule.check()
    assert list(hour.open()) == ["broker-lost"]
    hour.hears = True
    hour.passes(60)
    rule.check()
    assert hour.open() == {}, "it gets its time to be heard"
    hour.passes(5)
    rule.check()
    assert list(hour.open()) == ["silent-meter"]


@pytest.fixture
def second(hour: Hour) -> Elsewhere:
    hour.others.append(Elsewhere(hour))
    return hour.others[0]


def test_a_consumer_elsewhere_that_cannot_store_is_named(hour: Hour, second: Elsewhere) -> None:
    hour.passes(65)
    assert hour.open() == {}
    second.stores = second.hears = False
    hour.passes(65)
    assert list(hour.open()) == ["store-away"]
    assert "consumers: second" in hour.open()["store-away"]
    second.stores = second.hears = True
    hour.passes(5)
    assert hour.open() == {}


def test_a_consumer_elsewhere_without_broker_is_no_deaf_head_end(
    hour: Hour, second: Elsewhere
) -> None:
    second.hears = False
    hour.passes(65)
    assert list(hour.open()) == ["consumer-lost/second"]
    with Session(hour.engine) as session:
        assert not away_since(session)
    second.hears = True
    hour.passes(5)
    assert hour.open() == {}


def test_a_consumer_that_tells_nothing_is_missed_until_it_is_back(
    hour: Hour, second: Elsewhere
) -> None:
    hour.passes(30)
    second.runs = False
    hour.passes(60)
    assert hour.open() == {}, "a restart is no news"
    hour.passes(25)
    assert "Nothing is heard of the consumer second since" in hour.open()["consumer-lost/second"]
    second.runs = True
    hour.passes(5)
    assert hour.open() == {}


def test_the_store_is_not_away_for_a_consumer_that_died_of_it(
    hour: Hour, second: Elsewhere
) -> None:
    second.stores = False
    hour.passes(65)
    assert list(hour.open()) == ["store-away"]
    second.runs = False
    hour.passes(120)
    assert list(hour.open()) == ["consumer-lost/second"]


def test_a_consumer_that_ends_in_order_is_missed_by_nobody(hour: Hour) -> None:
    hour.passes(30)
    hour.heart.end()
    hour.links = hour.judge()
    hour.now += timedelta(seconds=300)
    hour.links.turn()
    assert hour.open() == {}


def test_a_consumer_that_never_comes_back_is_forgotten_after_a_week(
    hour: Hour, second: Elsewhere
) -> None:
    second.runs = False
    with writing(hour.engine) as session:
        session.add(ConsumerTold(instance="second", told_at=hour.now, hears=True, stores=True))
    hour.passes(120)
    assert list(hour.open()) == ["consumer-lost/second"]
    hour.links = hour.judge()
    hour.now += timedelta(days=7)
    hour.passes(5)
    assert hour.open() == {}


def test_an_instance_is_a_name_that_topics_can_hold() -> None:
    with pytest.raises(ValidationError, match="instance"):
        IngestSettings(instance="first/second")


def test_the_loss_of_the_broker_is_dated_by_its_alert_where_it_was_noticed_later(
    hour: Hour,
) -> None:
    hour.hears = False
    hour.passes(90)
    loss = BrokerLoss(lambda: hour.hears)
    with Session(hour.engine) as session:
        assert loss.since(session, hour.now) == NOON + timedelta(seconds=5)
        hour.hears = True
        assert loss.since(session, hour.now) is None
