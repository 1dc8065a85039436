"""Alerts on our own broker: ``<root>/cloud/alerts/<target>/<severity>``, QoS 1, not retained.

The account writes there alone, where no gateway can (``mosquitto/acl``). Readers see a message
twice if the acknowledgement was lost; its ``id`` tells.
"""

import logging
import threading

from paho.mqtt import client as mqtt

from hesper_cloud import broker_client
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.messages import Message
from hesper_cloud.settings import BrokerSettings
from hesper_cloud.worded import worded

log = logging.getLogger(__name__)
LEVEL = "cloud/alerts"
_KEEPALIVE_S = 30


class Publisher:
    """One connection to the broker, made when it is first needed."""

    def __init__(self, broker: BrokerSettings, timeout_s: float) -> None:
        self._broker = broker
        self._timeout_s = timeout_s
        self._client: mqtt.Client | None = None
        self._up = threading.Event()
        self._lock = threading.Lock()

    def send(self, target: str, message: Message) -> str:
        """Publishes a message.

        Raises:
            NotDelivered: no account is configured, or the broker did not acknowledge it.
        """
        try:
            with self._lock:
                client = self._connected()
        except OSError as error:
            raise NotDelivered(
                worded("the account for alerts: {strerror}", strerror=error.strerror)
            ) from None
        if not self._up.wait(self._timeout_s):
            raise NotDelivered("no connection to the broker")
        topic = f"{self._broker.root}/{LEVEL}/{target}/{message.severity}"
        sent = client.publish(topic, message.document(), qos=1)
        try:
            sent.wait_for_publish(self._timeout_s)
        except (RuntimeError, ValueError) as error:
            raise NotDelivered(worded("the broker: {error}", error=error)) from None
        if not sent.is_published():
            raise NotDelivered("the broker did not acknowledge it")
        return "acknowledged"

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            broker_client.end(self._client)

    def _connected(self) -> mqtt.Client:
        if self._client is None:
            account = self._broker.alerts
            if account is None:
                raise NotDelivered("cloud.toml names no broker account for alerts")
            client = broker_client.make(account, self._broker.tls_ca)
            client.enable_logger(log)
            client.on_connect = lambda *told: None if told[3].is_failure else self._up.set()
            client.on_disconnect = lambda *_: self._up.clear()
            client.connect_async(self._broker.host, self._broker.port, _KEEPALIVE_S)
            client.loop_start()
            self._client = client
        return self._client
