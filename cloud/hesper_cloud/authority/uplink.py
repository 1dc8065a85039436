"""The authority's own connection to the broker: commands and signed time out, requests in.

paho runs the socket on its thread. Time requests are answered there at once (no database is
involved); the shared subscription lets several authorities stand by, and this program's session
ends with its connection, because a request that nobody answered is asked again. Each answer costs a
signature, which in a token takes long: a gateway that asks far more often than a proof of time
needs is not answered, so that the others are.
"""

import logging
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

from hesper_contracts import certificates, requests, status, trace
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.requests import TimeAnswer, TimeRequest
from hesper_contracts.signing import Signer
from hesper_contracts.status import CloudStatus, Presence
from hesper_contracts.topics import Address, Topics, share_group
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes

from hesper_cloud import broker_client
from hesper_cloud.authority.outgoing import Outgoing
from hesper_cloud.broker_link import BrokerLink
from hesper_cloud.hsm import SigningUnavailable
from hesper_cloud.observing.commands import CommandTraces
from hesper_cloud.pace import Pace
from hesper_cloud.prompt_client import PromptClient
from hesper_cloud.settings import BrokerSettings

ROLE = "authority"
_log = logging.getLogger(__name__)
_KEEPALIVE_S = 15
_COPY_LIVES_S = 120
_RECONNECT_S = (1, 8)
_PATIENCE_S = 0.02
ANSWERED_PER_S, ANSWERED_AT_ONCE = 0.5, 20
"""Of each gateway; one in need of a proof asks every two seconds at first."""
_TOLD_PER_S, _TOLD_AT_ONCE = 1 / 60, 5  # refusals of one sender in the log


class AuthorityUplink:
    """Publishes what the authority signed; safe to call from the deciding thread."""

    def __init__(
        self,
        settings: BrokerSettings,
        instance: str,
        signer: Signer,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._clock = clock
        self._topics = Topics(settings.root)
        self._status_topic = self._topics.cloud_status(ROLE, instance)
        self._instance = instance
        self._started_at = clock()
        address = settings.host, settings.port
        self._link = BrokerLink(ROLE, address, settings.authority, _log)
        self._client = self._make_client()
        self._connections = 0
        self._answered = Pace(ANSWERED_PER_S, ANSWERED_AT_ONCE)
        self._told = Pace(_TOLD_PER_S, _TOLD_AT_ONCE)
        self.on_renewal: Callable[[str, bytes], None] = lambda _gateway, _payload: None
        """Takes signed requests for certificates, on paho's thread; returns at once."""
        self.traces = CommandTraces(None)

    def start(self) -> None:
        """Connects in the background and stays connected until `stop`."""
        properties = broker_client.properties(PacketTypes.CONNECT, SessionExpiryInterval=0)
        self._client.connect_async(
            self._settings.host,
            self._settings.port,
            keepalive=_KEEPALIVE_S,
            clean_start=True,
            properties=properties,
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Says goodbye and ends the connection."""
        if self._client.is_connected():
            goodbye = self._client.publish(self._status_topic, self._status("offline"), 1, True)
            try:
                goodbye.wait_for_publish(2.0)
            except (RuntimeError, ValueError):
                _log.info("the broker went before the goodbye did")
        broker_client.end(self._client)

    def publish(self, outgoing: Outgoing, now: datetime) -> bool:
        """Publishes one signed command that expires on the way at its last moment.

        One that is valid for days, as a transfer of firmware is, expires sooner and is published
        again, or its copies would pile up for a gateway that is away. While the broker has not
        acknowledged those before it, none leaves: the kill switch must still find it here.
        """
        left_s = math.ceil((outgoing.not_after - now).total_seconds())
        expiry_s = min(max(1, left_s), _COPY_LIVES_S)
        properties = broker_client.properties(PacketTypes.PUBLISH, MessageExpiryInterval=expiry_s)
        traceparent = self.traces.traceparent(outgoing.command_id)
        if traceparent is not None:
            properties.UserProperty = [(trace.PROPERTY, traceparent)]
        topic = self._topics.down(outgoing.gateway, Kind.COMMANDS)
        has_left = self._client.publish_at_once(topic, outgoing.payload, properties, _PATIENCE_S)
        if has_left:
            self.traces.signed(outgoing.command_id, int(now.timestamp() * 1e9))
        return has_left

    @property
    def connection(self) -> int:
        """The number of the present connection; 0 while there is none."""
        return self._connections if self._client.is_connected() else 0

    def publish_witness(self, gateway: str, payload: bytes) -> bool:
        """Publishes a checkpoint of the audit log for a gateway, retained."""
        topic = self._topics.down(gateway, Kind.WITNESS)
        sent = self._client.publish(topic, payload, qos=1, retain=True)
        return sent.rc == mqtt.MQTT_ERR_SUCCESS

    def answer(self, gateway: str, payload: bytes) -> None:
        """Publishes a signed answer; one that is lost is asked for again."""
        self._client.publish(self._topics.down(gateway, Kind.ANSWERS), payload, qos=1)

    def _make_client(self) -> PromptClient:
        client = broker_client.make_prompt(self._settings.authority, self._settings.tls_ca)
        client.will_set(self._status_topic, self._status("offline"), qos=1, retain=True)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._link.failed
        client.on_disconnect = lambda *told: self._link.ended(told[3])
        client.on_message = self._on_message
        return client

    def _status(self, state: Presence) -> bytes:
        return status.to_payload(
            CloudStatus(
                role=ROLE, instance=self._instance, state=state, started_at=self._started_at
            )
        )

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        if not self._link.came(reason):
            return
        self._connections += 1
        group = share_group(ROLE, client.password)
        client.subscribe(self._topics.shared(group, Kind.REQUESTS), qos=1)
        client.publish(self._status_topic, self._status("online"), qos=1, retain=True)

    def _on_message(self, client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            address = self._topics.parse(message.topic)
            if isinstance(address, Address):
                self._take(client, address.gateway, bytes(message.payload))
        except Refused as refusal:
            if self._told.admits(message.topic):
                _log.warning("request on %s refused: %s", message.topic, refusal)

    def _take(self, client: mqtt.Client, gateway: str, payload: bytes) -> None:
        """Answers what a gateway asks; raises Refused."""
        if certificates.is_request(payload):
            self.on_renewal(gateway, payload)
            return
        request = requests.request_from_payload(payload, gateway)
        if not isinstance(request, TimeRequest) or not self._answered.admits(gateway):
            return
        answer = TimeAnswer(gateway=gateway, nonce=request.nonce, time=self._clock())
        topic = self._topics.down(gateway, Kind.ANSWERS)
        try:
            client.publish(topic, requests.answer_to_payload(answer, self._signer), qos=1)
        except SigningUnavailable as reason:
            _log.error("the time cannot be signed: %s", reason)
