"""Gateways for the ingest benchmark, in a process of their own: they publish and check receipts.

Each gateway has a connection, an account and an outbox epoch of its own and keeps as many batches
under way as its window allows; the next leaves when a receipt has come whose signature holds and
whose digest is the batch's own. All connections are served by one thread (paho without threads),
so that a thousand gateways cost what their messages cost. With a pace, what is due and finds no
room in the window waits, as it would in an outbox. The task comes as one line of JSON on stdin; the
answer goes to stdout, a line when all are connected, one each second, one at the end.
"""

from __future__ import annotations

import array
import gc
import json
import resource
import secrets
import selectors
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from hesper_contracts import batch, receipts
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Keyring
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from hesper_lab.bench.ingest_batches import ROWS, Batches, Columns, Json

_KEEPALIVE_S: Final = 3600
_CONNECTED_WITHIN_S: Final = 120.0
_LAST_RECEIPTS_WITHIN_S: Final = 120.0
_TOLD_EVERY_S: Final = 1.0
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
        self._topic = _TOPICS.up(name, Kind.READINGS)
        self._under_way: dict[int, tuple[str, float]] = {}
        self._sequence = 0
        self.ready = False
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.client.max_inflight_messages_set(self._window)
        self.client.username_pw_set(name, task["passwords"][name])
        if task["ca"] is not None:
            self.client.tls_set_context(ssl.create_default_context(cafile=task["ca"]))
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.connect("localhost", task["port"], _KEEPALIVE_S)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(_TOPICS.down(self._name, Kind.RECEIPTS), qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self.ready = True

    @property
    def socket(self) -> Any:
        """What the connection reads from; it stays the same while it stands."""
        return self.client.socket()

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
        self.client.publish(self._topic, payload, qos=1)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        told = receipts.from_payload(bytes(message.payload), self._keys, self._name)
        now = time.monotonic()
        for receipt in told.receipts:
            digest, published_at = self._under_way.pop(receipt.sequence)
            if (receipt.digest, receipt.verdict) != (digest, "stored"):
                raise ValueError(f"{self._name}: batch {receipt.sequence}: {receipt}")
            self._tally.receipted += 1
            self._tally.delays_s.append(now - published_at)


class Fleet:
    """All gateways on one selector."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.tally = Tally()
        self._begun = self._told_at = 0.0
        self._selector = selectors.DefaultSelector()
        shape = int(task["shape"])
        behind = int(task["meters"]) // len(task["passwords"]) // shape * shape
        self.gateways = []
        for number, name in enumerate(task["passwords"]):
            meters = range(number * behind, (number + 1) * behind)
            gateway = Gateway(name, meters, task, self.tally)
            self._selector.register(gateway.socket, selectors.EVENT_READ, gateway)
            self.gateways.append(gateway)

    def serve(self, timeout_s: float) -> None:
        """Take in what has come and write out what waits."""
        for key, events in self._selector.select(timeout_s):
            gateway: Gateway = key.data
            if events & selectors.EVENT_READ:
                gateway.client.loop_read()
                while _pending(gateway.socket):
                    gateway.client.loop_read()
            if events & selectors.EVENT_WRITE:
                gateway.client.loop_write()
            wanted = selectors.EVENT_READ
            if gateway.client.want_write():
                wanted |= selectors.EVENT_WRITE
            self._selector.modify(key.fileobj, wanted, gateway)

    def watch_writes(self, gateway: Gateway) -> None:
        """Have the rest of a message written when the socket takes it."""
        if gateway.client.want_write():
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            self._selector.modify(gateway.socket, both, gateway)

    def connect(self) -> None:
        """Serve until every gateway hears its receipts."""
        deadline = time.monotonic() + _CONNECTED_WITHIN_S
        while not all(gateway.ready for gateway in self.gateways):
            if time.monotonic() > deadline:
                raise TimeoutError("not every gateway could connect")
            self.serve(0.1)

    def run(self, batches: Batches, seconds: float, per_second: float | None) -> float:
        """Publish for so many seconds, at most so many batches each; return how long it took."""
        begun = self._begun = self._told_at = time.monotonic()
        turn = 0
        while (now := time.monotonic()) - begun < seconds:
            allowed = None if per_second is None else (now - begun) * per_second
            turn = self._publish_round(batches, allowed, turn)
            self.serve(0.0005 if per_second is not None else 0.002)
            self._tell(allowed)
        ended = time.monotonic()
        while any(gateway.waiting for gateway in self.gateways):
            if time.monotonic() > ended + _LAST_RECEIPTS_WITHIN_S:
                raise TimeoutError("batches without a receipt are left")
            self.serve(0.1)
            self._tell(None)
        return time.monotonic() - begun

    def _tell(self, due: float | None) -> None:
        """Say each second how far it is; what is due is what was published, without a pace."""
        now = time.monotonic()
        if now < self._told_at + _TOLD_EVERY_S:
            return
        self._told_at = now
        receipted, published = self.tally.receipted, self.tally.batches
        told = {"seconds": now - self._begun, "receipted": receipted}
        _say({**told, "due": published if due is None else due})

    def _publish_round(self, batches: Batches, allowed: float | None, turn: int) -> int:
        """Let every gateway with room publish once, beginning where the last round stopped."""
        for step in range(len(self.gateways)):
            if allowed is not None and self.tally.batches >= allowed:
                return turn + step
            gateway = self.gateways[(turn + step) % len(self.gateways)]
            if gateway.has_room():
                gateway.publish(batches)
                self.watch_writes(gateway)
        return turn


def _pending(socket: Any) -> int:
    return int(socket.pending()) if hasattr(socket, "pending") else 0


def main() -> None:
    """Carry out the task on stdin."""
    task = json.loads(sys.stdin.readline())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    form = Json if task["json"] else Columns
    batches = form(int(task["shape"]), int(task["start"]))
    fleet = Fleet(task)
    fleet.connect()
    gc.freeze()
    _say({"ready": len(fleet.gateways)})
    sys.stdin.readline()
    wall_s = fleet.run(batches, float(task["seconds"]), task["per_second"])
    tally = fleet.tally
    _say(
        {
            "seconds": wall_s,
            "due": tally.batches,
            "receipted": tally.receipted,
            "readings": tally.receipted * int(task["shape"]) * ROWS,
            "octets": tally.octets,
            "wall_s": wall_s,
            "cpu_s": time.process_time(),
            "delays_s": [round(delay, 5) for delay in tally.delays_s],
        }
    )
    sys.stdin.readline()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
