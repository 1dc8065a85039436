"""Series from outside over MQTT: a connection of its own beside the consumer of readings.

Sources publish JSON on ``<root>/series/<account>``; the broker's access file lets an account write
below its own name alone. An account of a source holds a dot (``series.dwd``), which no gateway's
name can, so that no gateway brings a series. Messages are acknowledged after the commit: one that
could not be stored comes again with the next connection.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import broker_client
from hesper_cloud.aggregates import outside
from hesper_cloud.broker_link import BrokerLink
from hesper_cloud.db.engines import writing
from hesper_cloud.settings import Settings

log = logging.getLogger(__name__)

LEVEL = "series"
CLIENT_SUFFIX = "series"
_KEEPALIVE_S = 30
_SESSION_S = 86_400
_RECONNECT_S = (1, 30)


class OutsideIn:
    """Takes series from the broker; `run` is its whole life."""

    def __init__(self, settings: Settings, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        broker = settings.broker
        self._link = BrokerLink(LEVEL, (broker.host, broker.port), broker.ingest, log)
        self._topic = f"{broker.root}/{LEVEL}/"
        self.subscribed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Runs until cancelled."""
        self._loop = asyncio.get_running_loop()
        client = self._client()
        properties = broker_client.properties(PacketTypes.CONNECT, SessionExpiryInterval=_SESSION_S)
        broker = self._settings.broker
        client.connect_async(
            broker.host, broker.port, _KEEPALIVE_S, clean_start=False, properties=properties
        )
        client.loop_start()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(broker_client.end, client)

    def _client(self) -> mqtt.Client:
        broker = self._settings.broker
        name = f"hesper-{self._settings.ingest.instance}-{CLIENT_SUFFIX}"
        client = broker_client.make(broker.ingest, broker.tls_ca, name, manual_ack=True)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._link.failed
        client.on_disconnect = lambda *told: self._link.ended(told[3])
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if self._link.came(reason):
            client.subscribe(f"{self._topic}+", qos=1)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        broker_client.refused("the subscription to series", *reasons)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.subscribed.set)

    def _on_message(self, client: mqtt.Client, _data: Any, received: mqtt.MQTTMessage) -> None:
        source = received.topic.removeprefix(self._topic)
        try:
            self.take(source, bytes(received.payload))
        except outside.SeriesRefused as refusal:
            log.warning("a series of %s is refused: %s", source, refusal)
        except SQLAlchemyError as error:
            log.warning("a series of %s is not stored, it will come again: %s", source, error)
            return
        client.ack(received.mid, received.qos)

    def take(self, source: str, payload: bytes) -> None:
        """Stores one message; its series is named ``<source>.<series>``, a leading series. cut off.

        Raises:
            SeriesRefused: it holds none, its name is too long, or its source is a gateway.
        """
        if "." not in source:
            raise outside.SeriesRefused("the account of a source holds a dot")
        batch = outside.from_json(payload)
        name = f"{source.removeprefix(f'{LEVEL}.')}.{batch.series}"
        if len(name) > outside.LONGEST_NAME:
            raise outside.SeriesRefused(f"with its source it is named by {len(name)} characters")
        with writing(self._engine) as session:
            named = batch.model_copy(update={"series": name})
            outside.store(session, named, source, self._clock())
