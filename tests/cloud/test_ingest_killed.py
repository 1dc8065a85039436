"""Head end and store as their user runs them, killed at seeded moments: all is stored once."""

import hashlib
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hesper_cloud import keys
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store
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
SEEDS = range(int(os.environ.get("HESPER_TEST_KILL_RUNS", "1")))  # more runs: more moments
RESEND_S, DEADLINE_S = 3.0, 120.0
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

    def send_until(self, left: int, deadline_s: float = DEADLINE_S) -> None:
        """Sends what waits, again and again, until at most so many batches have no receipt."""
        deadline = time.monotonic() + deadline_s
        with self._changed:
            while len(self._waiting) > left:
                assert time.monotonic() < deadline, f"{len(self._waiting)} batches have no receipt"
                for octets in self._waiting.values():
                    self._client.publish(TOPICS.up(GATEWAY, Kind.READINGS), octets, qos=1)
                self._changed.wait_for(lambda: len(self._waiting) <= left, RESEND_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class System:
    """The head end as its user runs it, on a store of its own, and a gateway's end."""

    def __init__(self, folder: Path, port: int, store: str) -> None:
        self._config = folder / "cloud.toml"
        self._config.write_text(
            f"[broker]\nport = {port}\n[web]\nport = 0\n[ingest]\ngroup_max_messages = 5\n{store}"
        )
        subprocess.run(
            [*PROGRAM, "init", "--config", str(self._config)], check=True, capture_output=True
        )
        self.settings = Settings.load(self._config)
        signer = keys.receipt_signer(self.settings.keys)
        self.gateway = Sender(port, Keyring.of(signer.public_key))
        self.start()

    def start(self) -> None:
        self._head_end = subprocess.Popen([*PROGRAM, "run", "--config", str(self._config)])

    def kill(self) -> None:
        self._head_end.kill()
        self._head_end.wait()

    def largest_file(self, octets: int) -> None:
        """Lets the head end write no file beyond so many octets: 0 is a disk that is full."""
        limits = (octets, resource.RLIM_INFINITY)
        resource.prlimit(self._head_end.pid, resource.RLIMIT_FSIZE, limits)

    def close(self) -> None:
        self.kill()
        self.gateway.close()

    def stored(self) -> list[tuple[str, int, int | None, int | None, int]]:
        store = open_store(self.settings)
        rows = sorted(
            (each.meter, each.captured_at, *(value.value for value in each.values), each.revision)
            for each in store.export(0, T0 + 10**8)
        )
        store.close()
        return rows


def sha256(rows: Sequence[object]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def was_sent() -> list[tuple[str, int, int, int | None, int]]:
    return sorted({(*row, 0) for sequence in range(BATCHES) for row in rows_of(sequence)})


def moments(seed: int, count: int) -> list[int]:
    """Numbers of batches without receipt, at which something is killed; the last is none."""
    chosen = Random(seed).sample(range(2, BATCHES - 2), count)
    return [*sorted(chosen, reverse=True), 0]


def agrees(system: System) -> None:
    stored, sent = system.stored(), was_sent()
    assert (len(stored), sha256(stored)) == (len(sent), sha256(sent))


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_the_embedded_store_loses_and_doubles_nothing(
    tmp_path: Path, broker: Any, seed: int
) -> None:
    system = System(tmp_path, broker.port, "")
    try:
        for left in moments(seed, 2):
            system.gateway.send_until(left)
            system.kill()
            if left:
                system.start()
    finally:
        system.close()
    agrees(system)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_influxdb_and_head_end_lose_and_double_nothing(
    tmp_path: Path, broker: Any, influxd: Any, seed: int
) -> None:
    system = System(tmp_path, broker.port, on_influx(influxd.url))
    victims = Random(seed)
    try:
        for left in moments(seed, 3):
            system.gateway.send_until(left)
            victim = victims.choice(["store", "both", "head end"])
            if victim != "head end":
                influxd.kill()
            if victim != "store":
                system.kill()
                system.start()
            if victim != "head end":
                influxd.start()
    finally:
        system.close()
    agrees(system)


def test_a_store_that_is_down_gives_no_receipt_and_the_backlog_drains_afterwards(
    tmp_path: Path, broker: Any, influxd: Any
) -> None:
    system = System(tmp_path, broker.port, on_influx(influxd.url))
    try:
        system.gateway.send_until(BATCHES - 5)
        influxd.kill()
        with pytest.raises(AssertionError, match="have no receipt"):
            system.gateway.send_until(0, deadline_s=2 * RESEND_S)
        influxd.start()
        system.gateway.send_until(0)
    finally:
        system.close()
    agrees(system)


def test_a_disk_that_is_full_gives_no_receipt_and_the_backlog_drains_afterwards(
    tmp_path: Path, broker: Any
) -> None:
    system = System(tmp_path, broker.port, "")
    try:
        system.gateway.send_until(BATCHES - 5)
        system.largest_file(0)
        with pytest.raises(AssertionError, match="have no receipt"):
            system.gateway.send_until(0, deadline_s=2 * RESEND_S)
        system.largest_file(resource.RLIM_INFINITY)
        system.gateway.send_until(0)
    finally:
        system.close()
    agrees(system)


def on_influx(url: str) -> str:
    return f'[store]\nkind = "influx"\n[store.influx]\nurl = "{url}"\ndatabase = "hesper"\n'
