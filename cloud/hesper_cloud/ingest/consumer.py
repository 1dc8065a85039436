"""The consumer's connection to the broker: MQTT 5 over paho, on a thread of its own.

Theory of operation. Messages come in bulk (`hesper_cloud.bulk_client`), the few with properties or
at QoS 2 one by one. The session has no life of its own (Clean Start, expiry 0): what a dead
consumer held is sent again by the gateways, which wait for receipts. Messages are acknowledged by
hand, after they are settled, and at most ``receive_maximum`` are outstanding: that is the back
pressure. What finds no room in the inbox is acknowledged and not taken; its sender has it still. An
acknowledgement belongs to the connection over which its message came; after a reconnect it is
dropped, because the packet id may name another message by then. Shared subscriptions carry
readings, events and results; the gateways' retained status is subscribed unshared, so that every
instance knows all of it. Only when the broker has granted the subscriptions does the consumer
announce itself (retained, with a last will), which wakes the gateways.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hesper_contracts import status, trace
from hesper_contracts.batch import MAX_PAYLOAD
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import Topics, share_group
from hesper_contracts.trace import TraceContext
from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from hesper_cloud import broker_client, metrics
from hesper_cloud.broker_link import BrokerLink
from hesper_cloud.bulk_client import BulkClient
from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.ingest.senders import Senders, text_of
from hesper_cloud.mqtt_packets import Published
from hesper_cloud.settings import BrokerAccount

log = logging.getLogger(__name__)

ROLE = "ingest"
SHARED = (Kind.READINGS, Kind.EVENTS, Kind.RESULTS)
KEEPALIVE_S = 30
_RECONNECT_S = (1, 10)
_QUEUED_RECEIPTS = 10_000
_LARGEST_PACKET = MAX_PAYLOAD + 512 * 1024
"""As large as the broker takes any (max_packet_size in mosquitto.conf): of what it took and cannot
hand on it tells nobody, and here it would be refused with a receipt."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the broker is and who the consumer is on it."""

    host: str
    port: int
    root: str
    account: BrokerAccount | None = None
    tls_ca: Path | None = None
    instance: str = "main"
    receive_maximum: int = 400
    traced: bool = False
    """Whether anybody wants to know the traces that messages are in."""


class Consumer:
    """Hands messages over through `messages`; publishes receipts."""

    def __init__(
        self,
        connection: Connection,
        strange: Callable[[str, bytes, str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepares a consumer; `start` connects it.

        Args:
            connection: The broker and the account.
            strange: Called with topic, payload and reason for a message on no topic of ours.
            clock: Tells epoch seconds.
        """
        self.messages = Inbox()  # in number it is bounded by the receive maximum …
        self.announced = threading.Event()
        self._connection = connection
        self._strange = strange
        self._clock = clock
        self._topics = Topics(connection.root)
        self._senders = Senders(self._topics)
        self._started_at = datetime.now(UTC)
        # the number of the connection and the socket of its messages; replaced together, because
        # another thread acknowledges
        self._now: tuple[int, object] = 0, None
        self._pending: set[int] = set()
        self._receiving_cpu_s = 0.0
        address = connection.host, connection.port
        self._link = BrokerLink(ROLE, address, connection.account, log)
        self._client = self._make_client()

    def _make_client(self) -> BulkClient:
        settings = self._connection
        client = broker_client.make_bulk(settings.account, settings.tls_ca)
        client.reconnect_delay_set(*_RECONNECT_S)
        client.max_queued_messages_set(_QUEUED_RECEIPTS)
        client.will_set(self._status_topic, self._status("offline"), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._link.failed
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_published = self._take_all
        return client

    @property
    def _status_topic(self) -> str:
        return self._topics.cloud_status(ROLE, self._connection.instance)

    def _status(self, state: status.Presence) -> bytes:
        return status.to_payload(
            status.CloudStatus(
                role=ROLE,
                instance=self._connection.instance,
                state=state,
                started_at=self._started_at,
            )
        )

    def start(self) -> None:
        """Connects in the background and stays connected, whatever the broker does."""
        properties = broker_client.properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=0,
            ReceiveMaximum=self._connection.receive_maximum,
            MaximumPacketSize=_LARGEST_PACKET,
        )
        self._client.connect_async(
            self._connection.host,
            self._connection.port,
            keepalive=KEEPALIVE_S,
            clean_start=True,
            properties=properties,
        )
        self._client.loop_start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Says goodbye and ends the thread; unacknowledged messages go back to the broker."""
        if self.announced.is_set():
            farewell = self._client.publish(self._status_topic, self._status("offline"), 1, True)
            try:
                farewell.wait_for_publish(timeout_s)
            except (RuntimeError, ValueError) as error:  # the connection went in between
                log.info("goodbye not said: %s", error)
        broker_client.end(self._client)
        metrics.CONNECTED.set(0)

    def announce(self) -> None:
        """Says that messages are taken: gateways send at once what waits for a receipt."""
        if self.announced.is_set():
            self._client.publish(self._status_topic, self._status("online"), qos=1, retain=True)

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Gives messages back their places in the window, if their connection still stands."""
        connection, socket = self._now
        ours = [each for each in deliveries if each.connection == connection]
        self._client.acknowledge([each.packet for each in ours if each.qos == 1], socket)
        for each in ours:
            if each.qos > 1:
                self._client.ack(each.packet, each.qos)

    def publish(self, gateway: str, kind: Kind, payload: bytes) -> None:
        """Publishes to a gateway, QoS 1; while disconnected it waits in a bounded queue."""
        self._client.publish(self._topics.down(gateway, kind), payload, qos=1)

    def _on_connect(
        self, client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if not self._link.came(reason):
            return
        self._now = self._now[0] + 1, client.socket()
        self._pending.clear()
        group = share_group(ROLE, client.password)
        filters = [self._topics.shared(group, kind) for kind in SHARED]
        for name in (*filters, self._topics.every_status()):
            _, packet = client.subscribe(name, qos=1)
            if packet is not None:
                self._pending.add(packet)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: Any, packet: int, reasons: list[ReasonCode], _props: Any
    ) -> None:
        refusals = [reason for reason in reasons if reason.is_failure]
        for reason in refusals:
            log.error("broker refuses a subscription: %s; check the account's ACL", reason)
        if refusals:
            return  # who hears nothing is not announced
        self._pending.discard(packet)
        if not self._pending:
            metrics.CONNECTED.set(1)
            self.announced.set()
            self.announce()

    def _on_disconnect(
        self, _client: mqtt.Client, _data: Any, _flags: Any, reason: ReasonCode, _props: Any
    ) -> None:
        metrics.CONNECTED.set(0)
        self._now = self._now[0] + 1, None
        self.announced.clear()
        self._link.ended(reason)

    def _on_message(self, _client: mqtt.Client, _data: Any, received: mqtt.MQTTMessage) -> None:
        """Takes a message that has properties, or is at QoS 2."""
        topic, payload = _topic_of(received), bytes(received.payload)
        sampled = _trace_of(received) if self._connection.traced else None
        told = Published(topic, received.mid, received.qos, payload, received.retain)
        self._take_all([told], sampled)

    def _take_all(self, published: list[Published], sampled: TraceContext | None = None) -> None:
        """Takes messages that came together, or a single one that is traced."""
        arrived, received_at = time.monotonic(), self._clock()
        connection, _ = self._now
        kinds: Counter[Kind] = Counter()
        for each in published:
            delivery = Delivery(connection, each.packet, each.qos)
            try:
                sender = self._senders.of(each.topic)
            except Refused as error:
                self._strange(text_of(each.topic), each.payload, str(error))
                self.acknowledge([delivery])
                continue
            kinds[sender.kind] += 1
            if not self.messages.has_room(len(each.payload)):
                metrics.NO_ROOM.inc()
                self.acknowledge([delivery])
                continue
            if each.qos == 0 and self.messages.qsize() >= self._connection.receive_maximum:
                continue  # … and at QoS 0, where the broker keeps no count, by this
            told = Message(*sender, each.payload, delivery, arrived, received_at, trace=sampled)
            self.messages.put(told._replace(retained=True) if each.retained else told)
        for kind, count in kinds.items():
            metrics.MESSAGES.labels(kind).inc(count)
        self._count_cpu()

    def _count_cpu(self) -> None:
        now = time.thread_time()
        metrics.STAGE_CPU.labels("receive").inc(max(0.0, now - self._receiving_cpu_s))
        self._receiving_cpu_s = now


def _trace_of(received: mqtt.MQTTMessage) -> TraceContext | None:
    """Returns the trace of a message whose sender sampled it."""
    for name, value in getattr(received.properties, "UserProperty", ()):
        if name == trace.PROPERTY:
            found = trace.parse(value)
            return found if found is not None and found.sampled else None
    return None


def _topic_of(received: mqtt.MQTTMessage) -> bytes:
    try:
        return received.topic.encode()
    except UnicodeDecodeError:
        return b"\xff"  # nor is this
