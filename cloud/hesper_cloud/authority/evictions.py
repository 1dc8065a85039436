"""Ends a session on the broker by coming under its client identifier (MQTT 5, 3.1.4-3).

The old connection is closed with 0x8E, session taken over; the new one has Clean Start and expires
at once, so that what was queued for the gateway goes with it. One thread does so, while the
authority decides on.
"""

import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

from paho.mqtt.packettypes import PacketTypes

from hesper_cloud import broker_client
from hesper_cloud.settings import BrokerSettings

_log = logging.getLogger(__name__)
_PATIENCE_S, _LOOP_S = 5.0, 0.2
_KEEPALIVE_S = 15


class Evictions:
    """Ends sessions one after the other; a thread lives while there is something to do."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._waiting: SimpleQueue[str] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def __call__(self, gateways: list[str]) -> None:
        """Has the sessions of these gateways ended; returns at once."""
        if self._thread is not None and self._thread.is_alive():
            return
        for gateway in gateways:
            self._waiting.put(gateway)
        self._thread = threading.Thread(target=self._work, name="evictions", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while True:
            try:
                gateway = self._waiting.get_nowait()
            except Empty:
                return
            try:
                self._evict(gateway)
            except (OSError, ValueError) as error:
                _log.warning("the session of %s was not ended: %s", gateway, error)

    def _evict(self, gateway: str) -> None:
        client = broker_client.make(self._settings.authority, self._settings.tls_ca, gateway)
        answered: list[Any] = []
        client.on_connect = lambda *told: answered.append(told[3])
        client.connect(
            self._settings.host,
            self._settings.port,
            _KEEPALIVE_S,
            clean_start=True,
            properties=broker_client.properties(PacketTypes.CONNECT, SessionExpiryInterval=0),
        )
        until = time.monotonic() + _PATIENCE_S
        while not answered and time.monotonic() < until:
            client.loop(_LOOP_S)
        client.disconnect()
        client.loop(_LOOP_S)
        if not answered or answered[0].is_failure:
            raise OSError(f"the broker says {answered[0] if answered else 'nothing'}")
