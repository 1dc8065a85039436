"""The connection to the broker over which image blocks leave, with an account of its own.

The account reads requests and writes blocks, nothing else. Requests are shared among instances; the
session ends with the connection, because a gateway asks again for what did not come. Blocks expire
on the way: a gateway that is away would find them all at once when it is back.
"""

import asyncio
import logging
from typing import Any

from hesper_contracts import requests
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.requests import BlocksRequest
from hesper_contracts.topics import Address, Topics, share_group
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from hesper_cloud import broker_client, metrics
from hesper_cloud.broker_link import BrokerLink
from hesper_cloud.images.handing import Handing
from hesper_cloud.images.pacing import Pacing
from hesper_cloud.images.shelf import Shelf
from hesper_cloud.pace import Pace
from hesper_cloud.settings import FirmwareSettings, Settings

log = logging.getLogger(__name__)

ROLE = "images"
_KEEPALIVE_S = 30
_RECONNECT_S = (1, 10)
_BLOCK_LIVES_S = 60
_TOLD_PER_S, _TOLD_AT_ONCE = 1 / 60, 5  # refusals of one sender in the log
_MOST_QUEUED = 256
"""Blocks that paho holds for the broker, 4 MiB."""


class BlockServer:
    """Answers the gateways' requests for blocks; `run` is its whole life."""

    def __init__(self, settings: Settings, shelf: Shelf) -> None:
        self._broker = settings.broker
        self._topics = Topics(settings.broker.root)
        self._handing = Handing(shelf, pacing(settings.firmware), self._publish)
        self._loop: asyncio.AbstractEventLoop | None = None
        address = self._broker.host, self._broker.port
        self._link = BrokerLink(ROLE, address, self._broker.images, log)
        self._told = Pace(_TOLD_PER_S, _TOLD_AT_ONCE)
        self._client = self._make_client()
        self.subscribed = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._client.connect_async(
            self._broker.host,
            self._broker.port,
            _KEEPALIVE_S,
            clean_start=True,
            properties=broker_client.properties(PacketTypes.CONNECT, SessionExpiryInterval=0),
        )
        self._client.loop_start()
        try:
            await self._handing.run()
        finally:
            await asyncio.to_thread(broker_client.end, self._client)

    def _publish(self, gateway: str, payload: bytes) -> bool:
        """Publish a block; False while there is no connection, or too much waits for it."""
        if not self._client.is_connected():
            return False
        sent = self._client.publish(
            self._topics.down(gateway, Kind.BLOCKS),
            payload,
            qos=1,
            properties=broker_client.properties(
                PacketTypes.PUBLISH, MessageExpiryInterval=_BLOCK_LIVES_S
            ),
        )
        return sent.rc == mqtt.MQTT_ERR_SUCCESS

    def _make_client(self) -> mqtt.Client:
        client = broker_client.make(self._broker.images, self._broker.tls_ca)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.max_queued_messages_set(_MOST_QUEUED)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._link.failed
        client.on_disconnect = lambda *told: self._link.ended(told[3])
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if not self._link.came(reason):
            return
        group = share_group(ROLE, client.password)
        client.subscribe(self._topics.shared(group, Kind.REQUESTS), qos=1)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        broker_client.refused("the subscription to requests", *reasons)
        self._later(self.subscribed.set)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            address = self._topics.parse(message.topic)
            if not isinstance(address, Address):
                return
            request = requests.request_from_payload(bytes(message.payload), address.gateway)
        except Refused as refusal:
            metrics.IMAGE_REFUSALS.inc()
            if self._told.admits(message.topic):
                log.warning("request on %s refused: %s", message.topic, refusal)
            return
        if isinstance(request, BlocksRequest):
            self._later(self._handing.take, request)

    def _later(self, call: Any, *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)


def pacing(settings: FirmwareSettings) -> Pacing:
    """Returns the limits under which images leave."""
    cell_of = {gateway: cell for cell, gateways in settings.cells.items() for gateway in gateways}
    return Pacing(settings.gateway_octets_per_s, settings.cell_octets_per_s, cell_of)
