"""One gateway of the ingest benchmark: its connection, its window, and every receipt verified.

paho connects and subscribes; from then on the few packets that there are
(`hesper_cloud.mqtt_packets`) are read and written here, many at a time, on paho's socket.
"""

from __future__ import annotations

import array
import contextlib
import secrets
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Final

from hesper_cloud import mqtt_packets
from hesper_contracts import batch, receipts
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Keyring
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from hesper_lab.bench.ingest_batches import Batches

_KEEPALIVE_S: Final = 3600
_FETCH: Final = 1 << 18
_NOT_NOW: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_TOPICS: Final = Topics()


@dataclass(slots=True)
class Tally:
    """What was published and what came back."""

    batches: int = 0
    octets: int = 0
    receipted: int = 0
    delays_s: array.array[float] = field(default_factory=lambda: array.array("d"))


class Gateway:
    """One connection with its meters, its window and its outbox."""

    def __init__(self, name: str, meters: range, task: dict[str, Any], tally: Tally) -> None:
        self._name, self._meters, self._tally = name, meters, tally
        self._shape, self._window = int(task["shape"]), int(task["window"])
        self._keys = Keyring.of(bytes.fromhex(task["receipt_key"]))
        self._epoch = secrets.token_hex(8)
        self._topic = _TOPICS.up(name, Kind.READINGS).encode()
        self._under_way: dict[int, tuple[str, float]] = {}
        self._sequence = 0
        self._unread = b""
        self._unsent = memoryview(b"")
        self._leaving: list[bytes] = []
        self.ready = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5
        )
        self._client.username_pw_set(name, task["passwords"][name])
        if task["ca"] is not None:
            self._client.tls_set_context(ssl.create_default_context(cafile=task["ca"]))
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("localhost", task["port"], _KEEPALIVE_S)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(_TOPICS.down(self._name, Kind.RECEIPTS), qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self.ready = True

    @property
    def socket(self) -> Any:
        """What the connection reads from; it stays the same while it stands."""
        return self._client.socket()

    def connect(self) -> None:
        """Let paho read and write what there is, until the subscription stands."""
        self._client.loop_read()
        while self.pending():
            self._client.loop_read()
        self._client.loop_write()

    def pending(self) -> int:
        """Return how many octets the socket holds that no selector sees."""
        return int(self.socket.pending()) if hasattr(self.socket, "pending") else 0

    @property
    def waiting(self) -> int:
        """How many batches wait for their receipt."""
        return len(self._under_way)

    def has_room(self) -> bool:
        """Say whether the window lets another batch go."""
        return len(self._under_way) < self._window

    def publish(self, batches: Batches) -> None:
        """Publish the next batch: the meters take turns."""
        per_turn = len(self._meters) // self._shape
        turn, place = divmod(self._sequence, per_turn)
        first = self._meters.start + place * self._shape
        self._sequence += 1
        meters = range(first, first + self._shape)
        payload = batches.payload(self._epoch, self._sequence, meters, turn)
        self._under_way[self._sequence] = (batch.digest(payload), time.monotonic())
        self._tally.batches += 1
        self._tally.octets += len(payload)
        packet = (self._sequence - 1) % 0xFFFF + 1
        self._leaving.append(mqtt_packets.publish(self._topic, packet, payload))

    def write(self) -> bool:
        """Write out what waits; say whether something still does."""
        with contextlib.suppress(*_NOT_NOW):
            while self._unsent or self._leaving:
                if not self._unsent:
                    self._unsent = memoryview(b"".join(self._leaving))
                    self._leaving.clear()
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
        return bool(self._unsent)

    def read(self) -> None:
        """Take in what has come: receipts, and the broker's acknowledgements."""
        try:
            octets = self._unread + self.socket.recv(_FETCH)
        except _NOT_NOW:
            return
        if octets == self._unread:
            raise ConnectionError(f"{self._name}: the broker hung up")
        at, receipted = 0, []
        while (extent := mqtt_packets.extent(octets, at)) and extent[1] <= len(octets):
            message = mqtt_packets.published(octets, at, *extent)
            if message is not None:
                self._check(message.payload)
                receipted.append(message.packet)
            elif mqtt_packets.acknowledged(octets, at, *extent) is None:
                raise ConnectionError(f"{self._name}: unforeseen packet {octets[at : extent[1]]!r}")
            at = extent[1]
        self._unread = octets[at:]
        if receipted:
            self._leaving.append(mqtt_packets.acknowledgements(receipted))

    def _check(self, payload: bytes) -> None:
        told = receipts.from_payload(payload, self._keys, self._name)
        now = time.monotonic()
        for receipt in told.receipts:
            digest, published_at = self._under_way.pop(receipt.sequence)
            if (receipt.digest, receipt.verdict) != (digest, "stored"):
                raise ValueError(f"{self._name}: batch {receipt.sequence}: {receipt}")
            self._tally.receipted += 1
            self._tally.delays_s.append(now - published_at)
