"""A live broker with the repository's own configuration and access rules."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hesper_lab import broker_files, system
from hesper_lab.ports import accepts
from hesper_lab.processes import Child, wait_until
from hesper_lab.site import PACKAGES, Site, Wishes
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DEADLINE_S = 60.0
ACCOUNTS = (
    "gw-a",
    "gw-b",
    "hes.ingest",
    "hes.authority",
    "hes.images",
    "hes.tunnel",
    "hes.alerts",
    "out.alerts",
    "hes.republish",
    "out.mdm",
    "out.billing",
    "series.weather",
)


class Client:
    """One account's connection: what it receives, and what the broker says to it.

    Attributes:
        refusal: The broker's reason for not letting it in; empty when it did.
    """

    def __init__(self, port: int, account: str | None, secret: str, will: str | None) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.refusal = ""
        self._arrived = threading.Condition()
        self._connected, self._subscribed = threading.Event(), threading.Event()
        self._verdicts: dict[int, str] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if account is not None:
            self._client.username_pw_set(account, secret)
        if will is not None:
            self._client.will_set(will, b"last will", qos=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._connected.wait(DEADLINE_S)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _props: Any) -> None:
        self.refusal = str(reason) if reason.is_failure else ""
        self._connected.set()

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _props: Any) -> None:
        with self._arrived:
            self._verdicts[mid] = str(reason) if reason.is_failure else ""
            self._arrived.notify_all()

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._arrived:
            self.received.append((message.topic, bytes(message.payload)))
            self._arrived.notify_all()

    def subscribe(self, *filters: str) -> None:
        """Subscribes and waits for the answer."""
        self._subscribed.clear()
        self._client.subscribe([(each, 1) for each in filters])
        assert self._subscribed.wait(DEADLINE_S)

    def publish(self, topic: str, payload: bytes = b"payload") -> str:
        """Publishes; returns the broker's objection, empty when there is none."""
        with self._arrived:
            mid = self._client.publish(topic, payload, qos=1).mid
            assert self._arrived.wait_for(lambda: mid in self._verdicts, DEADLINE_S)
            return self._verdicts[mid]

    def wait_for(self, topic: str, payload: bytes) -> None:
        """Returns when a message has come; what the broker took before it came before it."""
        with self._arrived:
            came = self._arrived.wait_for(lambda: (topic, payload) in self.received, DEADLINE_S)
            assert came, f"{payload!r} on {topic} did not come; {self.received}"

    def vanish(self) -> None:
        """Goes without a farewell, so that the broker publishes the last will."""
        properties: Any = Properties
        farewell = properties(PacketTypes.DISCONNECT)
        farewell_with_will = mqtt.ReasonCode(PacketTypes.DISCONNECT, identifier=4)
        self._client.disconnect(farewell_with_will, farewell)
        self._client.loop_stop()

    def close(self) -> None:
        """Says goodbye."""
        self._client.disconnect()
        self._client.loop_stop()


class Broker:
    """The running broker and its accounts."""

    def __init__(self, site: Site, passwords: dict[str, str]) -> None:
        self.site, self.passwords = site, passwords

    @contextmanager
    def client(
        self, account: str | None, secret: str | None = None, will: str | None = None
    ) -> Iterator[Client]:
        """Connects with an account's own password or with another secret."""
        known = self.passwords.get(account or "", "")
        client = Client(self.site.ports.broker, account, secret or known, will)
        try:
            yield client
        finally:
            client.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Mosquitto as the repository configures it, with two gateways and two cloud roles."""
    program = system.find("mosquitto", PACKAGES / "mosquitto")
    if program is None:
        pytest.skip("mosquitto is not on this machine")
    site = Site.open(tmp_path_factory.mktemp("site"), Wishes())
    passwords = {account: f"secret of {account}" for account in ACCOUNTS}
    broker_files.write(site, passwords)
    command = [program.path, "-c", site.broker / "mosquitto.conf"]
    child = Child("broker", command, site.logs / "broker.log", program.environment)
    child.start()
    try:
        wait_until(lambda: accepts(site.ports.broker), child, DEADLINE_S, "listening")
        yield Broker(site, passwords)
    finally:
        child.stop()
        site.lock.close()


@pytest.fixture
def connected(broker: Broker) -> Iterator[Callable[[str], Client]]:
    """Returns one connected client per account, which hears all that the account may hear."""
    stack: list[Any] = []
    clients: dict[str, Client] = {}

    def get(account: str) -> Client:
        if account not in clients:
            opened = broker.client(account)
            clients[account] = opened.__enter__()
            stack.append(opened)
            clients[account].subscribe("#")
        return clients[account]

    yield get
    for opened in stack:
        opened.__exit__(None, None, None)
