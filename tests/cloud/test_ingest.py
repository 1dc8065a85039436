"""Ingest against a real Mosquitto: what gateways publish, what is stored, what receipts say."""

import asyncio
import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hesper_cloud.db import migrate, registry
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.ingest import run
from hesper_cloud.ingest.consumer import Connection, Consumer
from hesper_cloud.ingest.message import Delivery, batch_id
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.latest import LatestValues
from hesper_cloud.settings import BrokerSettings, Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group, StoreRefused, StoreUnavailable, Written
from hesper_contracts import batch, events, readings, receipts, results, status
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Encoding, Kind, Refused
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.receipts import Receipt
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine, select

pytestmark = pytest.mark.integration

EPOCH = "00112233445566ff"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
TOPICS = Topics()
DEADLINE_S = 60.0
SIGNER = Signer.generate()
GATEWAY_KEY = Signer.generate()


def now() -> int:
    return int(time.time())


def sealed(sequence: int, rows: dict[str, list[tuple[int, int]]]) -> bytes:
    meters = [
        MeterRows(m, [t for t, _ in p], [0] * len(p), [0] * len(p), [[v for _, v in p]])
        for m, p in rows.items()
    ]
    encoding, body = readings.encode([Section(LOAD_PROFILE, now(), (ENERGY,), meters)])
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


class GatewayEnd:
    """A gateway's end of the broker: publishes batches, gathers receipts and announcements."""

    def __init__(self, port: int, gateway: str = "gw-1") -> None:
        self.gateway = gateway
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        self.cloud: queue.Queue[status.CloudStatus] = queue.Queue()
        self._subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([(TOPICS.every_down(gateway), 1), (TOPICS.every_cloud_status(), 1)])
        assert self._subscribed.wait(DEADLINE_S)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic.endswith("/status"):
            self.cloud.put(status.cloud_from_payload(payload))
            return
        found = receipts.from_payload(payload, Keyring.of(SIGNER.public_key), self.gateway)
        assert found.epoch == EPOCH
        for receipt in found.receipts:
            self.receipts.put(receipt)

    def publish(self, kind: Kind, payload: bytes, *, retain: bool = False) -> None:
        topic = TOPICS.up(self.gateway, kind)
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    async def receipt(self) -> Receipt:
        return await asyncio.to_thread(self.receipts.get, timeout=DEADLINE_S)

    async def announced(self) -> status.CloudStatus:
        return await asyncio.to_thread(self.cloud.get, timeout=DEADLINE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Head:
    """An ingest role on disk that can be run again and again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.settings = Settings(state=folder, broker=BrokerSettings(port=port))
        self.engine: Engine = open_engine(self.settings.database.url)
        migrate.upgrade(self.engine, "registry")
        self.store = DuckDbStore(folder / "readings.duckdb")
        self.latest = LatestValues()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Ingest]:
        ingest = Ingest(self.settings, self.store, self.engine, SIGNER, self.latest)
        task = asyncio.create_task(ingest.run())
        await asyncio.to_thread(ingest.consumer.announced.wait, DEADLINE_S)
        try:
            yield ingest
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    def rows(self, model: type[Any]) -> list[Any]:
        with reading(self.engine) as session:
            return list(session.scalars(select(model)))

    def stored(self) -> list[tuple[str, int, int | None]]:
        found = self.store.export(0, now() + 10**7)
        return sorted((r.meter, r.captured_at, r.values[0].value) for r in found)

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            await asyncio.sleep(0.02)


@pytest.fixture
def head(tmp_path: Path, broker: Any) -> Iterator[Head]:
    made = Head(tmp_path, broker.port)
    yield made
    made.store.close()
    made.engine.dispose()


@pytest.fixture
def gateway(broker: Any) -> Iterator[GatewayEnd]:
    end = GatewayEnd(broker.port)
    yield end
    end.close()


async def test_a_batch_is_stored_then_receipted_then_seen(head: Head, gateway: GatewayEnd) -> None:
    t = now() - 900
    payload = sealed(1, {"M1": [(t, 10), (t + 900, 12)]})
    async with head.running():
        gateway.publish(Kind.READINGS, payload)
        receipt = await gateway.receipt()
        assert receipt == Receipt(1, batch.digest(payload), "stored", "")
        assert head.stored() == [("M1", t, 10), ("M1", t + 900, 12)]
        await head.until(lambda: head.latest.value("M1", "1.0.1.8.0.255") is not None)
        assert head.latest.value("M1", "1.0.1.8.0.255").value == 12  # type: ignore[union-attr]
    (meter,) = head.rows(registry.Meter)
    assert (meter.id, meter.gateway_id, meter.state) == ("M1", "gw-1", "discovered")
    assert meter.last_contact_at is not None


async def test_a_lost_receipt_is_given_again_and_nothing_is_stored_twice(
    head: Head, gateway: GatewayEnd
) -> None:
    payload = sealed(1, {"M1": [(now(), 10)]})
    async with head.running():
        for _ in range(3):
            gateway.publish(Kind.READINGS, payload)
            assert (await gateway.receipt()).verdict == "stored"
    async with head.running():  # and after a restart
        gateway.publish(Kind.READINGS, payload)
        assert (await gateway.receipt()).digest == batch.digest(payload)
    assert len(head.stored()) == 1


async def test_a_known_sequence_with_other_content_alarms_and_is_answered_as_set_aside(
    head: Head, gateway: GatewayEnd
) -> None:
    t = now()
    async with head.running():
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(t, 10)]}))
        await gateway.receipt()
        other = sealed(1, {"M1": [(t, 99)]})
        gateway.publish(Kind.READINGS, other)
        answer = await gateway.receipt()
        assert (answer.digest, answer.verdict) == (batch.digest(other), "rejected")
        gateway.publish(Kind.READINGS, sealed(2, {"M1": [(t + 1, 11)]}))
        assert (await gateway.receipt()).verdict == "stored"
        assert gateway.receipts.empty()
        await head.until(lambda: bool(head.rows(registry.Alert)))
    (letter,) = head.rows(registry.DeadLetter)
    assert "another digest" in letter.reason
    assert head.rows(registry.Alert)[0].rule == "batch-digest"
    assert [value for _, _, value in head.stored()] == [10, 11]


async def test_garbage_on_every_topic_is_set_aside_and_counted(
    head: Head, gateway: GatewayEnd
) -> None:
    whole = sealed(5, {"M1": [(now(), 10)]})
    prefix = batch.prefix(Kind.READINGS, Encoding.COLUMNS_ZSTD, EPOCH, 6)
    junk = [
        b"",
        b"\x00\xff" * 50,
        b"{",
        b'{"kind": 3}',
        b"HR9z" + whole[4:],
        whole[:15],
        b"[" * 9999,
    ]
    async with head.running():
        for kind in (Kind.READINGS, Kind.EVENTS, Kind.RESULTS, Kind.STATUS):
            for payload in junk:
                gateway.publish(kind, payload)
        gateway.publish(Kind.READINGS, prefix + b"\x28\xb5\x2f\xfd garbage")
        rejected = await gateway.receipt()
        assert (rejected.sequence, rejected.verdict) == (6, "rejected")
        assert rejected.reason
        gateway.publish(Kind.READINGS, whole[: len(whole) - 3])
        assert (await gateway.receipt()).verdict == "rejected"
        gateway.publish(Kind.READINGS, sealed(7, {"M1": [(now(), 11)]}))
        assert (await gateway.receipt()).verdict == "stored"
    letters = head.rows(registry.DeadLetter)
    assert all(letter.reason for letter in letters)
    assert {letter.topic.rsplit("/", 1)[1] for letter in letters} == {
        "readings", "events", "results", "status"
    }  # fmt: skip
    assert [value for _, _, value in head.stored()] == [11]


async def test_third_party_json_is_taken_and_receipted_if_it_names_a_batch(
    head: Head, gateway: GatewayEnd
) -> None:
    at = datetime.fromtimestamp(now(), UTC).isoformat()
    body: dict[str, Any] = {
        "kind": "readings",
        "version": 1,
        "readings": [{"meter": "J1", "captured_at": at, "values": {"1.0.1.8.0.255": [5, 0, 30]}}],
    }
    async with head.running():
        gateway.publish(Kind.READINGS, json.dumps(body).encode())
        await head.until(lambda: len(head.stored()) == 1)
        assert gateway.receipts.empty()
        body["batch"] = {"epoch": EPOCH, "sequence": 3}
        payload = json.dumps(body).encode()
        gateway.publish(Kind.READINGS, payload)
        assert await gateway.receipt() == Receipt(3, batch.digest(payload), "stored", "")
    assert len(head.stored()) == 1


async def test_mosquitto_pub_can_bring_readings(head: Head, broker: Any) -> None:
    program = shutil.which("mosquitto_pub")
    if program is None:
        pytest.skip("mosquitto_pub is not installed")
    at = datetime.fromtimestamp(now(), UTC).isoformat()
    values = '"values":{"1.0.2.8.0.255":[5,0,30]}'
    body = f'{{"meter":"PV01","captured_at":"{at}",{values}}}'
    text = f'{{"kind":"readings","version":1,"readings":[{body}]}}'
    topic = TOPICS.up("roof-1", Kind.READINGS)
    command = [program, "-V", "mqttv5", "-q", "1", "-p", str(broker.port), "-t", topic, "-m", text]
    async with head.running():
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        await head.until(lambda: len(head.stored()) == 1)
    assert [(meter, value) for meter, _, value in head.stored()] == [("PV01", 5)]


async def test_events_are_stored_once_and_tamper_raises_and_clears(
    head: Head, gateway: GatewayEnd
) -> None:
    def told(sequence: int, *codes: str) -> bytes:
        listed = [
            Event(id=f"M1/{sequence}/{code}", code=code, occurred_at=datetime.now(UTC), meter="M1")
            for code in codes
        ]
        return events.to_payload(EventList(tuple(listed)), EPOCH, sequence)

    async with head.running():
        first = told(1, "tamper.cover_opened", "power.up")
        gateway.publish(Kind.EVENTS, first)
        assert (await gateway.receipt()).verdict == "stored"
        gateway.publish(Kind.EVENTS, first)
        assert (await gateway.receipt()).verdict == "stored"
        assert len(head.rows(registry.Event)) == 2
        (alert,) = head.rows(registry.Alert)
        assert (alert.rule, alert.meter, alert.state) == ("tamper.cover", "M1", "new")
        gateway.publish(Kind.EVENTS, told(2, "tamper.cover_closed"))
        await gateway.receipt()
    assert head.rows(registry.Alert)[0].state == "cleared"


async def test_a_meter_that_identifies_itself_enters_the_registry(
    head: Head, gateway: GatewayEnd
) -> None:
    attributes = {"model": "HSP3", "firmware": "1.4.2", "logical_device_name": "HSP0000000000001"}
    event = Event(
        id="M1/identified", code="meter.identified", occurred_at=datetime.now(UTC), meter="M1",
        attributes=dict(attributes, capture_period_s=5),
    )  # fmt: skip
    async with head.running():
        gateway.publish(Kind.EVENTS, events.to_payload(EventList((event,)), EPOCH, 1))
        await gateway.receipt()
    (meter,) = head.rows(registry.Meter)
    assert (meter.model, meter.firmware, meter.capture_period_s) == ("HSP3", "1.4.2", 5)
    assert meter.logical_device_name == "HSP0000000000001"


async def test_results_are_kept_octet_for_octet(head: Head, gateway: GatewayEnd) -> None:
    result = CommandResult(
        command_id="c-1", gateway="gw-1", meter="M1", state="confirmed", at=datetime.now(UTC)
    )
    payload = results.to_payload(result, GATEWAY_KEY, EPOCH, 1)
    async with head.running():
        gateway.publish(Kind.RESULTS, payload)
        assert (await gateway.receipt()).digest == batch.digest(payload)
    (row,) = head.rows(registry.Result)
    assert (row.command_id, row.gateway, row.payload, row.verified) == (
        "c-1", "gw-1", payload, None
    )  # fmt: skip


async def test_status_becomes_the_gateways_row_and_an_old_will_is_passed_over(
    head: Head, gateway: GatewayEnd
) -> None:
    def told(boot: str, state: status.Presence, minute: int, backlog: int = 0) -> bytes:
        started = datetime(2026, 1, 1, 0, minute, tzinfo=UTC)
        return status.to_payload(
            status.GatewayStatus(
                gateway="gw-1", boot_id=boot, state=state, sent_at=started, started_at=started,
                backlog_batches=backlog, meters_total=9, outbox_percent=3,
            )
        )  # fmt: skip

    def row() -> Any:
        return next(iter(head.rows(registry.Gateway)), None)

    gateway.publish(Kind.STATUS, told("b1", "online", 1, backlog=4), retain=True)
    async with head.running():
        await head.until(lambda: row() is not None and row().backlog == 4)
        assert (row().state, row().meters_total, row().outbox_percent) == ("online", 9, 3)
        gateway.publish(Kind.STATUS, told("b2", "online", 2, backlog=5))
        await head.until(lambda: row().backlog == 5)
        gateway.publish(Kind.STATUS, told("b1", "offline", 1))
        gateway.publish(Kind.STATUS, told("b2", "online", 2, backlog=6))
        await head.until(lambda: row().backlog == 6)
        assert row().state == "online"
        gateway.publish(Kind.STATUS, told("b2", "offline", 2))
        await head.until(lambda: row().state == "offline")


async def test_the_consumer_announces_itself_and_says_goodbye(
    head: Head, gateway: GatewayEnd
) -> None:
    async with head.running():
        found = await gateway.announced()
        assert (found.role, found.state) == ("ingest", "online")
    assert (await gateway.announced()).state == "offline"


async def test_it_carries_on_after_the_broker_was_killed_and_wiped(
    head: Head, broker: Any, gateway: GatewayEnd
) -> None:
    async with head.running() as ingest:
        broker.kill()
        await head.until(lambda: not ingest.consumer.announced.is_set())
        broker.wipe()
        broker.start()
        await head.until(ingest.consumer.announced.is_set)
        end = GatewayEnd(broker.port)
        end.publish(Kind.READINGS, sealed(1, {"M1": [(now(), 10)]}))
        assert (await end.receipt()).verdict == "stored"
        end.close()


class Moody(DuckDbStore):
    """The embedded store with a disk that is full for a while, or that hates one meter."""

    unavailable = 0
    hated = ""
    is_down = False

    def latest_rows(self) -> Iterator[Any]:
        if self.is_down:
            raise StoreUnavailable("it is down")
        return super().latest_rows()

    def write(self, group: Group) -> Written:
        if self.unavailable:
            self.unavailable -= 1
            raise StoreUnavailable("disk full")
        if any(self.hated in block.meters for block in group.blocks):
            raise StoreRefused(f"never {self.hated}")
        return super().write(group)


async def test_no_receipt_before_the_store_took_it(
    head: Head, gateway: GatewayEnd, tmp_path: Path
) -> None:
    moody = Moody(tmp_path / "moody.duckdb")
    moody.unavailable = 2
    head.store.close()
    head.store = moody
    async with head.running():
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(now(), 10)]}))
        assert (await gateway.receipt()).verdict == "stored"
    assert moody.unavailable == 0
    assert len(head.stored()) == 1


async def test_gateways_are_woken_when_the_store_is_back(
    head: Head, gateway: GatewayEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_AWAY_S", 0.1)  # the second try comes after 0.3 s
    moody = Moody(tmp_path / "moody.duckdb")
    moody.unavailable = 2
    head.store.close()
    head.store = moody
    async with head.running():
        assert (await gateway.announced()).state == "online"
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(now(), 10)]}))
        assert (await gateway.announced()).state == "online"
    assert moody.unavailable == 0


async def test_it_can_be_stopped_while_the_store_is_down_from_the_start(
    head: Head, tmp_path: Path
) -> None:
    head.store.close()
    head.store = Moody(tmp_path / "moody.duckdb")
    head.store.is_down = True
    ingest = Ingest(head.settings, head.store, head.engine, SIGNER, head.latest)
    task = asyncio.create_task(ingest.run())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ingest._stop.is_set()  # else its thread tries on, and the process never ends


def test_the_broker_holds_back_what_is_not_acknowledged(broker: Any, gateway: GatewayEnd) -> None:
    consumer = Consumer(
        Connection("127.0.0.1", broker.port, "hesper/v1", receive_maximum=10), lambda *_: None
    )
    consumer.start()
    try:
        assert consumer.announced.wait(DEADLINE_S)
        for _ in range(100):
            gateway.publish(Kind.READINGS, b"x")
        asked = threading.Event()  # its answer comes behind everything that was sent before
        consumer._client.on_subscribe = lambda *_: asked.set()
        consumer._client.subscribe("anything")
        assert asked.wait(DEADLINE_S)
        assert consumer.messages.qsize() == 10
    finally:
        consumer.stop()


def test_what_came_by_an_older_connection_is_not_acknowledged() -> None:
    consumer = Consumer(Connection("127.0.0.1", 9, "hesper/v1"), lambda *_: None)
    given: list[tuple[list[int], object]] = []
    consumer._client.acknowledge = lambda *call: given.append(call)  # type: ignore[method-assign]
    deliveries: list[Delivery] = []
    for socket in ("before", "now"):
        client = mock.Mock(socket=lambda socket=socket: socket, subscribe=lambda *_, **__: (0, 1))
        consumer._on_connect(client, None, None, mock.Mock(is_failure=False), None)
        deliveries.append(Delivery(consumer._now[0], len(deliveries) + 1, 1))
    consumer.acknowledge(deliveries)
    consumer._on_disconnect(mock.Mock(), None, None, mock.Mock(), None)
    consumer.acknowledge(deliveries)
    assert given == [([2], "now"), ([], None)]


def test_messages_without_a_window_are_bounded_too(broker: Any) -> None:
    """A broker holds back QoS 1 only; a flood at QoS 0 must not fill the memory."""
    strange: list[str] = []
    consumer = Consumer(
        Connection("127.0.0.1", broker.port, "hesper/v1", receive_maximum=10),
        lambda topic, _payload, _reason: strange.append(topic),
    )
    message = mqtt.MQTTMessage(mid=0, topic=TOPICS.up("gw-1", Kind.READINGS).encode())
    for _ in range(100):
        consumer._on_message(consumer._client, None, message)
    assert consumer.messages.qsize() == 10
    assert strange == []


async def test_only_the_batch_that_the_store_refuses_is_rejected(
    head: Head, gateway: GatewayEnd, tmp_path: Path
) -> None:
    moody = Moody(tmp_path / "moody.duckdb")
    moody.hated = "M2"
    head.store.close()
    head.store = moody
    async with head.running():
        for sequence in range(1, 6):
            payload = sealed(sequence, {f"M{sequence}": [(now(), 10)]})
            gateway.client.publish(TOPICS.up("gw-1", Kind.READINGS), payload, qos=1)
        verdicts = {r.sequence: r.verdict for r in [await gateway.receipt() for _ in range(5)]}
    assert verdicts == {1: "stored", 2: "rejected", 3: "stored", 4: "stored", 5: "stored"}
    assert len(head.stored()) == 4


async def test_rows_captured_in_another_age_do_not_cost_the_others(
    head: Head, gateway: GatewayEnd
) -> None:
    t = now()
    async with head.running():
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(t, 1), (2**60, 2)], "M2": [(-5, 3)]}))
        assert (await gateway.receipt()).verdict == "stored"
    assert head.stored() == [("M1", t, 1)]
    kept = [json.loads(letter.payload) for letter in head.rows(registry.DeadLetter)]
    assert {row["captured_at"] for row in kept} == {2**60, -5}
    assert {row["values"]["1.0.1.8.0.255"][0] for row in kept} == {2, 3}


def test_a_sequence_beyond_what_stores_count_is_refused() -> None:
    with pytest.raises(Refused):
        batch_id("gw-1", EPOCH, 2**63)
