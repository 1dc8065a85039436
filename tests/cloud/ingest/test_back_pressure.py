"""Ingest when the store is away or refuses, and when more comes than it takes."""

import asyncio
import contextlib
import json
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hesper_cloud import metrics
from hesper_cloud.db import registry
from hesper_cloud.ingest import persist
from hesper_cloud.ingest.consumer import Connection, Consumer
from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Delivery, batch_id
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.settings import IngestSettings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group, StoreRefused, StoreUnavailable, Written
from hesper_contracts import events
from hesper_contracts.events import Event, EventList
from hesper_contracts.frame import Kind, Refused
from ingest_ends import (
    DEADLINE_S,
    EPOCH,
    SIGNER,
    TOPICS,
    GatewayEnd,
    Head,
    now,
    sealed,
)
from paho.mqtt import client as mqtt

pytestmark = pytest.mark.integration


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
    monkeypatch.setattr(persist, "AWAY_S", 0.1)  # the second try comes after 0.3 s
    moody = Moody(tmp_path / "moody.duckdb")
    moody.unavailable = 2
    head.store.close()
    head.store = moody
    async with head.running():
        assert (await gateway.announced()).state == "online"
        gateway.publish(Kind.READINGS, sealed(1, {"M1": [(now(), 10)]}))
        assert (await gateway.announced()).state == "online"
    assert moody.unavailable == 0


async def test_alarms_do_not_wait_for_the_store_of_readings(
    head: Head, gateway: GatewayEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(persist, "AWAY_S", 0.1)
    monkeypatch.setattr(persist, "_LONGEST_DELAY_S", 0.1)
    moody = Moody(tmp_path / "moody.duckdb")
    moody.unavailable = 10**9
    head.store.close()
    head.store = moody
    head.settings = head.settings.model_copy(
        update={"ingest": IngestSettings(group_max_messages=20)}
    )
    told = Event(id="M1/1", code="tamper.cover_opened", occurred_at=datetime.now(UTC), meter="M1")
    async with head.running():
        for sequence in range(25):
            payload = sealed(sequence, {"M1": [(now() - sequence, 10)]})
            gateway.publish(Kind.READINGS, payload)
        for _ in range(10):  # as a gateway does; the first may be in the group that comes next
            gateway.publish(Kind.EVENTS, events.to_payload(EventList((told,)), EPOCH, 30))
            with contextlib.suppress(queue.Empty):
                receipt = await asyncio.to_thread(gateway.receipts.get, timeout=2)
                assert receipt.sequence == 30
                break
        assert [alert.rule for alert in head.rows(registry.Alert)] == ["tamper.cover"]
        assert head.stored() == []
        moody.unavailable = 0
        receipted = set()
        while not receipted >= set(range(25)):
            receipted.add((await gateway.receipt()).sequence)


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


def test_a_flood_of_large_messages_is_held_to_so_many_octets(
    broker: Any, gateway: GatewayEnd
) -> None:
    consumer = Consumer(Connection("127.0.0.1", broker.port, "hesper/v1"), lambda *_: None)
    consumer.messages = Inbox(1_000_000)
    consumer.start()
    try:
        assert consumer.announced.wait(DEADLINE_S)
        before = metrics.NO_ROOM._value.get()
        for _ in range(40):
            gateway.publish(Kind.READINGS, b"x" * 300_000)
        asked = threading.Event()  # its answer comes behind everything that was sent before
        consumer._client.on_subscribe = lambda *_: asked.set()
        consumer._client.subscribe("anything")
        assert asked.wait(DEADLINE_S)
        assert consumer.messages.qsize() == 3
        assert metrics.NO_ROOM._value.get() - before == 37
        while consumer.messages.qsize():
            consumer.acknowledge([consumer.messages.get().delivery])
        gateway.publish(Kind.READINGS, b"again")
        assert consumer.messages.get(timeout=DEADLINE_S).payload == b"again"
    finally:
        consumer.stop()


def test_who_is_refused_a_subscription_is_not_announced() -> None:
    consumer = Consumer(Connection("127.0.0.1", 9, "hesper/v1"), lambda *_: None)
    packets = iter(range(1, 5))
    client = mock.Mock(subscribe=lambda *_, **__: (0, next(packets)))
    consumer._on_connect(client, None, None, mock.Mock(is_failure=False), None)
    for packet in range(1, 5):
        refused = mock.Mock(is_failure=packet == 2)
        consumer._on_subscribe(client, None, packet, [refused], None)
    assert not consumer.announced.is_set()


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
    rows = [row for each in kept for row in each["readings"]]
    assert {row["captured_at"] for row in rows} == {2**60, "1969-12-31T23:59:55+00:00"}
    assert {row["values"]["1.0.1.8.0.255"][0] for row in rows} == {2, 3}


def test_a_sequence_beyond_what_stores_count_is_refused() -> None:
    with pytest.raises(Refused):
        batch_id("gw-1", EPOCH, 2**63)
