"""Broker and store that are away: one alert each, and meters are not called silent for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from hesper_cloud import metrics
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Alert, Gateway, Meter
from hesper_cloud.ingest.persist import until_stored
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.own_links import OwnLinks
from hesper_cloud.rules.silence import SilenceRule
from hesper_cloud.settings import BrokerSettings, RuleSettings
from hesper_cloud.stores.port import StoreUnavailable
from patience import PATIENCE_S
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Hour:
    """One head end whose clock is set by hand, looked at every five seconds."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.now = engine, NOON
        self.alerts = Alerts(engine, lambda: self.now)
        self.links = OwnLinks(BrokerSettings(host="hub", port=1), self.alerts, lambda: self.now)

    def passes(self, seconds: int, *, refusing: bool = False) -> None:
        for _ in range(seconds // 5):
            self.now += timedelta(seconds=5)
            if refusing:
                metrics.RETRIES.inc()
            self.links.turn()

    def open(self) -> dict[str, str]:
        with Session(self.engine) as session:
            rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
            return {row.rule: row.text for row in rows}


@pytest.fixture
def hour(engine: Engine) -> Iterator[Hour]:
    before = metrics.CONNECTED._value.get()
    metrics.CONNECTED.set(1)
    yield Hour(engine)
    metrics.CONNECTED.set(before)
    metrics.STORE_ANSWERS.set(1)


def test_a_broker_that_is_away_is_one_alert_with_its_address_until_it_is_back(hour: Hour) -> None:
    metrics.CONNECTED.set(0)
    hour.passes(60)
    assert hour.open() == {}, "a restart of the broker is no news"
    hour.passes(5)
    assert "no connection to the broker hub:1: no meter is heard" in hour.open()["broker-lost"]
    metrics.CONNECTED.set(1)
    hour.passes(5)
    assert hour.open() == {}


def test_a_store_that_takes_nothing_is_one_alert_and_no_answer(hour: Hour) -> None:
    metrics.CONNECTED.set(0)  # ingest comes to the broker when it has read from the store
    hour.passes(65, refusing=True)
    assert list(hour.open()) == ["store-away"]
    assert "gateways keep what they read" in hour.open()["store-away"]
    assert metrics.STORE_ANSWERS._value.get() == 0
    metrics.CONNECTED.set(1)
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
    metrics.CONNECTED.set(0)
    hour.passes(65)
    hour.links = OwnLinks(BrokerSettings(), hour.alerts, lambda: hour.now)
    metrics.CONNECTED.set(1)
    hour.passes(5)
    assert hour.open() == {}


def test_meters_are_not_silent_while_nothing_can_be_heard(hour: Hour) -> None:
    with writing(hour.engine) as session:
        session.add(Gateway(id="gw-1", first_seen_at=NOON, state="online"))
        session.add(
            Meter(id="M1", gateway_id="gw-1", first_seen_at=NOON, last_contact_at=NOON,
                  capture_period_s=900)
        )  # fmt: skip
    rule = SilenceRule(hour.engine, hour.alerts, RuleSettings(silent_after_s=60), lambda: hour.now)
    metrics.CONNECTED.set(0)
    hour.passes(300)
    rule.check()
    assert list(hour.open()) == ["broker-lost"]
    metrics.CONNECTED.set(1)
    hour.passes(60)
    rule.check()
    assert hour.open() == {}, "it gets its time to be heard"
    hour.passes(5)
    rule.check()
    assert list(hour.open()) == ["silent-meter"]
