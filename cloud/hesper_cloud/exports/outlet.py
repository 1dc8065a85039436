"""The way out over MQTT: messages below ``<root>/cloud/out/``, and how far one has come.

The account writes below ``cloud/out/`` alone, where no gateway can, and readers read there alone
(``mosquitto/acl``). A cursor moves on when the broker has acknowledged all messages up to it: after
a crash some come again, none is skipped. A broker may still lose what it acknowledged.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from hesper_contracts import durable
from paho.mqtt import client as mqtt

from hesper_cloud import broker_client
from hesper_cloud.settings import BrokerSettings

log = logging.getLogger(__name__)

LEVEL = "cloud/out"
_KEEPALIVE_S = 30
_ACKNOWLEDGED_S = 10.0


class Message(NamedTuple):
    """One message; its topic ends with the meter, percent-encoded, and ``kind``."""

    meter: str
    kind: str
    payload: bytes


class Outlet:
    """One connection to the broker, made when it is first asked for; of one thread."""

    def __init__(self, broker: BrokerSettings) -> None:
        self._broker = broker
        self._client: mqtt.Client | None = None

    def is_connected(self) -> bool:
        """Says whether messages can go out now."""
        if self._client is None:
            self._client = self._made()
            self._client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S)
            self._client.loop_start()
        return self._client.is_connected()

    def publish(self, messages: Iterable[Message]) -> bool:
        """Publishes with QoS 1; returns whether the broker has acknowledged every one."""
        if self._client is None or not self.is_connected():
            return False
        sent = [self._client.publish(self._topic(each), each.payload, qos=1) for each in messages]
        try:
            for each in sent:
                each.wait_for_publish(_ACKNOWLEDGED_S)
                if not each.is_published():
                    return False
        except (RuntimeError, ValueError) as error:
            log.warning("nothing is republished now: %s", error)
            return False
        return True

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            broker_client.end(self._client)

    def _topic(self, message: Message) -> str:
        return f"{self._broker.root}/{LEVEL}/{quote(message.meter, safe='')}/{message.kind}"

    def _made(self) -> mqtt.Client:
        client = broker_client.make(self._broker.republish, self._broker.tls_ca)
        client.enable_logger(log)
        return client


class Cursor:
    """How far one has come, in a file of its own; empty: nowhere yet."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str:
        """Returns where to go on."""
        return self._path.read_text("ascii").strip() if self._path.exists() else ""

    def move(self, to: str) -> None:
        """Goes on from there next time, also after a power cut."""
        durable.put(self._path, f"{to}\n".encode("ascii"))
