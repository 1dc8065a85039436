"""Two consumers of one shared subscription on InfluxDB: one is killed, and nothing is missed."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import keys, provision
from hesper_cloud.cli import app
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.db.registry import Alert, ConsumerTold
from hesper_cloud.rules import own_links
from hesper_cloud.rules.alerts import CLEARED, Alerts
from hesper_cloud.rules.own_links import OwnLinks
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store
from hesper_contracts import batch, readings, receipts, status
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.signing import Keyring
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

TOPICS = Topics()
EPOCH = "00112233445566ff"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
BATCHES, METERS = 60, 20
DEADLINE_S = 60.0
START = "from hesper_cloud.cli import main; main()"


def sealed(sequence: int) -> bytes:
    at = int(time.time()) // 900 * 900 - 86_400 + sequence
    rows = [MeterRows(f"M{n}", [at], [0], [0], [[1000 + sequence]]) for n in range(METERS)]
    encoding, body = readings.encode([Section(LOAD_PROFILE, at, (ENERGY,), rows)])
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


class Fleet:
    """A gateway that sends until everything is receipted, and hears which consumers there are."""

    def __init__(self, port: int, receipt_key: bytes) -> None:
        self._keys = Keyring.of(receipt_key)
        self.payloads = {sequence: sealed(sequence) for sequence in range(BATCHES)}
        self.receipted: set[int] = set()
        self.online: set[str] = set()
        self.changed = threading.Condition()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.subscribe([(TOPICS.every_down("gw-1"), 1), (TOPICS.every_cloud_status(), 1)])
        self.client.loop_start()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        with self.changed:
            if message.topic.endswith("/status"):
                found = status.cloud_from_payload(payload)
                (self.online.add if found.state == "online" else self.online.discard)(
                    found.instance
                )
            else:
                for receipt in receipts.from_payload(payload, self._keys, "gw-1").receipts:
                    assert receipt.verdict == "stored"
                    assert receipt.digest == batch.digest(self.payloads[receipt.sequence])
                    self.receipted.add(receipt.sequence)
            self.changed.notify_all()

    def send(self, sequences: Iterator[int] | set[int] | range) -> None:
        for sequence in sequences:
            topic = TOPICS.up("gw-1", Kind.READINGS)
            self.client.publish(topic, self.payloads[sequence], qos=1)

    def wait_for(self, condition: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE_S), (self.online, self.receipted)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def consumer(config: Path, instance: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "HESPER_INGEST__INSTANCE": instance}
    command = [sys.executable, "-c", START, "ingest", "-c", str(config)]
    with (config.parent / f"{instance}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def databases(request: pytest.FixtureRequest) -> str:
    """Where what is relational stands, as cloud.toml says it."""
    if request.param == "SQLite":
        return ""
    make = request.getfixturevalue("postgres_database")
    return f'[database]\nurl = "{make()}"\nauthority_url = "{make()}"\n'


def test_two_consumers_share_the_work_and_one_may_die(
    broker: Any, influx_url: str, databases: str, tmp_path: Path
) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'{databases}[broker]\nport = {broker.port}\n[store]\nkind = "influx"\n'
        "sole_writer = false\n"
        f'[store.influx]\nurl = "{influx_url}"\ndatabase = "{tmp_path.name}"\n'
    )
    settings = Settings.load(config)
    provision.initialise(settings, None)
    fleet = Fleet(broker.port, keys.receipt_signer(settings.keys).public_key)
    with ExitStack() as stack:
        stack.callback(fleet.close)
        first = stack.enter_context(consumer(config, "first"))
        stack.enter_context(consumer(config, "second"))
        fleet.wait_for(lambda: fleet.online == {"first", "second"})
        fleet.send(range(BATCHES // 2))
        fleet.wait_for(lambda: fleet.receipted)
        fleet.send(range(BATCHES // 2, BATCHES))
        first.kill()
        fleet.wait_for(lambda: fleet.online == {"second"})  # its last will
        fleet.send(set(range(BATCHES)) - fleet.receipted)
        fleet.wait_for(lambda: len(fleet.receipted) == BATCHES)
    store = open_store(settings)
    rows = list(store.export(0, int(time.time())))
    store.close()
    assert len(rows) == BATCHES * METERS
    assert len({(row.meter, row.captured_at) for row in rows}) == len(rows)
    assert {row.revision for row in rows} == {0}


class Judge:
    """What the head end says of its consumers, with a clock that is set by hand."""

    def __init__(self, settings: Settings) -> None:
        self.engine = open_engine(settings.database.url)
        self.now = datetime.now(UTC)
        alerts = Alerts(self.engine, lambda: self.now)
        self.links = OwnLinks(self.engine, settings, alerts, lambda: self.now)

    def told(self) -> list[tuple[str, bool, bool]]:
        with reading(self.engine) as session:
            rows = session.scalars(select(ConsumerTold))
            return [(row.instance, row.hears, row.stores) for row in rows]

    def wait_until_told(self, expected: list[tuple[str, bool, bool]]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while self.told() != expected:
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.05)

    def after(self, seconds: int) -> list[str]:
        """Returns the rules that have alerts after a while in which nothing changed."""
        self.links.turn()
        self.now += timedelta(seconds=seconds)
        self.links.turn()
        with reading(self.engine) as session:
            return list(session.scalars(select(Alert.rule).where(Alert.state != CLEARED)))


def test_the_head_end_tells_of_a_consumer_whose_store_is_down_and_of_one_that_is_gone(
    broker: Any, influxd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_links, "_PATIENCE", timedelta(seconds=10))
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'[broker]\nport = {broker.port}\n[store]\nkind = "influx"\nsole_writer = false\n'
        f'[store.influx]\nurl = "{influxd.url}"\ndatabase = "readings"\n'
    )
    settings = Settings.load(config)
    provision.initialise(settings, None)
    judge = Judge(settings)
    fleet = Fleet(broker.port, keys.receipt_signer(settings.keys).public_key)
    with ExitStack() as stack:
        stack.callback(judge.engine.dispose)
        stack.callback(fleet.close)
        influxd.kill()
        second = stack.enter_context(consumer(config, "second"))
        judge.wait_until_told([("second", False, False)])
        assert judge.after(15) == ["store-away"]
        influxd.start()
        judge.wait_until_told([("second", True, True)])
        assert judge.after(15) == []
        influxd.kill()
        fleet.send(range(1))
        judge.wait_until_told([("second", True, False)])
        assert judge.after(15) == ["store-away"]
        influxd.start()
        fleet.wait_for(lambda: fleet.receipted)
        judge.wait_until_told([("second", True, True)])
        second.kill()
        second.wait()
        judge.after(25)
        assert judge.after(15) == ["consumer-lost/second"]
        again = stack.enter_context(consumer(config, "second"))
        fleet.wait_for(lambda: fleet.online == {"second"})
        again.terminate()
        judge.wait_until_told([])
        assert judge.after(15) == []


@pytest.mark.parametrize("store", ['kind = "influx"', 'kind = "duckdb"\nsole_writer = false'])
def test_one_more_consumer_does_not_start_where_another_takes_itself_for_the_only_one(
    store: str, tmp_path: Path
) -> None:
    """What `run` keeps in memory of stored captures would lack those of the other."""
    config = tmp_path / "cloud.toml"
    config.write_text(f"[store]\n{store}\n")
    answer = CliRunner().invoke(app, ["ingest", "-c", str(config)])
    assert answer.exit_code == 1
    assert "sole_writer = false" in answer.output
