"""Ingest on InfluxDB end to end: the head end as its user runs it, killed in the middle."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import keys
from hesper_cloud.settings import Settings
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_contracts import batch, readings, receipts
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.signing import Keyring
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

pytestmark = pytest.mark.integration
PROGRAM = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
EPOCH, GATEWAY, TOPICS = "00112233445566ff", "gw-1", Topics()
BATCHES, METERS, ROWS = 60, 50, 6
T0 = 1_790_000_100
RESEND_S, DEADLINE_S = 2.0, 60.0
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
VOLTAGE = Quantity(bytes((1, 0, 32, 7, 0, 255)), -1, 35)


def rows_of(sequence: int) -> Iterator[tuple[str, int, int, int | None]]:
    """Yields meter, time, energy and voltage; each batch repeats the last row of the one before."""
    for meter in range(METERS):
        for row in range(sequence * ROWS - 1, (sequence + 1) * ROWS):
            yield f"M{meter}", T0 + 900 * row, 1000 * meter + row, 2300 + row if row % 5 else None


def payload(sequence: int) -> bytes:
    by_meter: dict[str, list[tuple[int, int, int | None]]] = {}
    for meter, *row in rows_of(sequence):
        by_meter.setdefault(meter, []).append((row[0], row[1], row[2]))
    meters = [
        MeterRows(
            meter,
            [at for at, _, _ in rows],
            [0] * len(rows),
            [0] * len(rows),
            [[energy for _, energy, _ in rows], [volts for _, _, volts in rows]],
        )
        for meter, rows in by_meter.items()
    ]
    encoding, body = readings.encode([Section(LOAD_PROFILE, T0, (ENERGY, VOLTAGE), meters)])
    return batch.seal(Kind.READINGS, encoding, EPOCH, sequence, body)


class Sender:
    """A gateway's end: keeps sending what has no receipt."""

    def __init__(self, port: int, keyring: Keyring) -> None:
        self._keyring = keyring
        self._waiting = {sequence: payload(sequence) for sequence in range(BATCHES)}
        self._changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(TOPICS.down(GATEWAY, Kind.RECEIPTS), qos=1)
        self._client.loop_start()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        told = receipts.from_payload(bytes(message.payload), self._keyring, GATEWAY)
        with self._changed:
            for receipt in told.receipts:
                assert receipt.verdict == "stored"
                self._waiting.pop(receipt.sequence, None)
            self._changed.notify_all()

    def send_until(self, left: int) -> None:
        """Sends what waits, again and again, until at most so many batches have no receipt."""
        deadline = time.monotonic() + DEADLINE_S
        with self._changed:
            while len(self._waiting) > left:
                assert time.monotonic() < deadline, f"{len(self._waiting)} batches have no receipt"
                for octets in self._waiting.values():
                    self._client.publish(TOPICS.up(GATEWAY, Kind.READINGS), octets, qos=1)
                self._changed.wait_for(lambda: len(self._waiting) <= left, RESEND_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def test_nothing_is_lost_or_doubled_when_the_head_end_is_killed(
    tmp_path: Path, broker: Any, influx_url: str
) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(
        f"[broker]\nport = {broker.port}\n[web]\nport = 0\n[ingest]\ngroup_max_messages = 5\n"
        f'[store]\nkind = "influx"\n[store.influx]\nurl = "{influx_url}"\n'
        'database = "ingest-test"\n'
    )
    subprocess.run([*PROGRAM, "init", "--config", str(config)], check=True, capture_output=True)
    signer = keys.receipt_signer(Settings.load(config).keys)
    sender = Sender(broker.port, Keyring.of(signer.public_key))
    try:
        for left in (BATCHES // 2, 0):  # killed half-way, then once more when all is told
            head_end = subprocess.Popen([*PROGRAM, "run", "--config", str(config)])
            try:
                sender.send_until(left)
            finally:
                head_end.kill()
                head_end.wait()
    finally:
        sender.close()
    store = InfluxStore(InfluxV1(influx_url, "ingest-test"))
    stored = sorted(
        (each.meter, each.captured_at, *(value.value for value in each.values), each.revision)
        for each in store.export(0, T0 + 10**8)
    )
    store.close()
    sent = {row for sequence in range(BATCHES) for row in rows_of(sequence)}
    assert stored == sorted((*row, 0) for row in sent)
