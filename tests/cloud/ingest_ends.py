"""The two ends of a broker for tests of ingest: a gateway, and an ingest role on disk."""

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.ingest.run import Ingest
from hesper_cloud.latest import LatestValues
from hesper_cloud.settings import BrokerSettings, Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import batch, readings, receipts, status
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.receipts import Receipt
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import Engine, select
from tables import make_tables

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
        make_tables(self.engine)
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
