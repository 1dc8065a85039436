"""The uplink: carries the outbox to the broker and what comes down to those who await it.

Theory of operation
-------------------
One connection at a time; when it breaks it is made again with growing, jittered delay, for ever.
On each connection three tasks run: *send* publishes what the window says is due, *receive* sorts
what comes down, *announce* keeps the retained status fresh (the broker's last will says offline).
A fourth task outlives connections: it applies receipts. PUBACKs only pace the sending; a batch
leaves the outbox by a receipt whose signature holds and by nothing else. A cloud that was restored
asks for receipted batches again, signed likewise; what is still held goes back into the backlog.
When the outbox begins a new epoch, all that is under way goes again, at once.

Whatever cannot be understood is counted and dropped. Nothing that arrives can end the process.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiomqtt
from hesper_contracts import again, receipts, status
from hesper_contracts.again import SendAgain
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.receipts import ReceiptList
from hesper_contracts.signing import Keyring
from hesper_contracts.status import GatewayStatus, Presence
from hesper_contracts.topics import Address, CloudAddress, Topics

from hesper_gateway import broker_link
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import ConfigError, Hop
from hesper_gateway.outbox import Outbox
from hesper_gateway.window import Window

if TYPE_CHECKING:
    from hesper_gateway.tracing import Tracing

log = logging.getLogger(__name__)

STATUS_EVERY_S = 15.0
FIRST_RECONNECT_S = 0.2
LAST_RECONNECT_S = 30.0
MOST_RECEIPTS_WAITING = 256
MOST_AT_ONCE = 20
FAREWELL_S = 2.0

Deliver = Callable[[Kind, bytes], None]
"""Takes a payload that came down; must return at once and verify it itself."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this gateway is and whose receipts it believes."""

    gateway: str
    topics: Topics
    receipt_keys: Keyring


@dataclass(slots=True)
class Pace:
    """How eager the uplink is."""

    window: int = 32
    status_every_s: float = STATUS_EVERY_S
    first_reconnect_s: float = FIRST_RECONNECT_S
    last_reconnect_s: float = LAST_RECONNECT_S


def _ignore(_: CloudAddress) -> None:
    """Nobody else waits for the cloud."""


@dataclass(slots=True)
class Ears:
    """Who hears what besides the uplink itself.

    Attributes:
        tracing: Traces batches and commands, where that is wanted.
        status: Returns the gateway's present status.
        deliver: Takes commands, answers and configuration.
        cloud_came: Told that a cloud role announced itself.
        failures: Counts lost or failed connections under their hop.
    """

    status: Callable[[Presence], GatewayStatus]
    deliver: Deliver
    cloud_came: Callable[[CloudAddress], None] = field(default=_ignore)
    failures: Counter[Hop] = field(default_factory=Counter)
    tracing: "Tracing | None" = None


class _MadeAnew(Exception):
    """The connection is left on purpose, to be made again at once."""


class Uplink:
    """The gateway's one connection to the cloud; `run` it as a task.

    Attributes:
        connected: Set while the broker has us.
        dropped: How often a payload was dropped, by reason.
    """

    def __init__(
        self,
        account: broker_link.Account,
        identity: Identity,
        outbox: Outbox,
        ears: Ears,
        pace: Pace | None = None,
    ) -> None:
        self._account = account
        self._identity = identity
        self._outbox = outbox
        self._ears = ears
        self._pace = pace or Pace()
        self._leaving = asyncio.Event()
        self._window = Window(outbox, self._pace.window)
        self._changed = asyncio.Event()
        self._receipts: asyncio.Queue[ReceiptList | SendAgain] = asyncio.Queue(
            MOST_RECEIPTS_WAITING
        )
        self._client: aiomqtt.Client | None = None
        self.connected = asyncio.Event()
        self.dropped: Counter[str] = Counter()
        outbox.appended = self._changed.set

    async def run(self) -> None:
        """Runs until cancelled, then says goodbye."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._apply_receipts(), name="uplink-receipts")
            tasks.create_task(self._stay_connected(), name="uplink-connection")
            if self._ears.tracing is not None:
                tasks.create_task(self._ears.tracing.run(), name="uplink-tracing")

    def leave(self) -> None:
        """Leaves the broker and comes again at once; what is under way goes again."""
        self._leaving.set()

    async def publish(
        self, kind: Kind, payload: bytes, qos: int = broker_link.QOS, *, retain: bool = False
    ) -> bool:
        """Publishes something that is not worth keeping; returns whether the broker took it."""
        client, topic = self._client, self._topic(kind)
        if client is None:
            return False
        try:
            await broker_link.publish(client, topic, payload, qos=qos, retain=retain)
        except (aiomqtt.MqttError, TimeoutError):
            return False
        return True

    async def publish_retained(self, kind: Kind, payload: bytes) -> bool:
        """Publishes what whoever comes later is to find, too."""
        return await self.publish(kind, payload, retain=True)

    async def tell(self, kind: Kind, payload: bytes) -> bool:
        """Publishes something that is no use late (QoS 0); returns whether there was a broker."""
        return await self.publish(kind, payload, qos=0)

    async def _stay_connected(self) -> None:
        failures = 0
        told: type[BaseException] | None = None
        while True:
            try:
                await self._connection()
            except* _MadeAnew:
                log.info("the connection is made anew")
            except* (aiomqtt.MqttError, OSError, ConfigError) as errors:
                self._ears.failures[Hop.BROKER] += 1
                error: BaseException = errors
                while isinstance(error, BaseExceptionGroup):
                    error = error.exceptions[0]
                if self.connected.is_set() or told is not type(error):
                    told = type(error)
                    log.warning("broker lost: %s", broker_link.loss(self._account, error))
            failures = 0 if self.connected.is_set() else failures + 1
            self.connected.clear()
            self._client = None
            await asyncio.sleep(self._delay_s(failures))

    def _delay_s(self, failures: int) -> float:
        longest = min(
            self._pace.first_reconnect_s * 2.0 ** min(failures, 20), self._pace.last_reconnect_s
        )
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads gateways, no secret

    async def _connection(self) -> None:
        """Serves one connection until it breaks, which raises."""
        will = aiomqtt.Will(
            self._topic(Kind.STATUS), self._status("offline"), broker_link.QOS, retain=True
        )
        self._leaving.clear()
        async with broker_link.client(self._account, will) as client:
            try:
                await self._greet(client)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive(client), name="uplink-receive")
                    tasks.create_task(self._send(client), name="uplink-send")
                    tasks.create_task(self._announce(client), name="uplink-announce")
                    tasks.create_task(self._leave_when_told(), name="uplink-leave")
            except asyncio.CancelledError:
                await self._farewell(client)
                raise

    async def _greet(self, client: aiomqtt.Client) -> None:
        """Subscribes, and says that the gateway is there."""
        topics = self._identity.topics
        down = topics.every_down(self._identity.gateway)
        await broker_link.subscribe(client, down, topics.every_cloud_status())
        await self._tell_status(client, "online")
        if self._account.shown is not None:
            self._account.shown.taken()
        self._client = client
        self._window.wake()
        self.connected.set()
        log.info("broker reached")

    async def _send(self, client: aiomqtt.Client) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._changed.clear()
            due = self._window.due(clock())[:MOST_AT_ONCE]
            if due:
                async with asyncio.TaskGroup() as tasks:
                    for sequence in due:
                        self._window.sent(sequence, clock())
                        tasks.create_task(self._publish(client, sequence), name="uplink-publish")
                continue
            try:
                async with asyncio.timeout(self._window.wait_s(clock())):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _publish(self, client: aiomqtt.Client, sequence: int) -> None:
        batch = self._outbox.load(sequence)
        if batch is None:
            self._window.dropped(sequence)
        else:
            tracing = self._ears.tracing
            traceparent = None if tracing is None else tracing.leaving(batch)
            await broker_link.publish(
                client, self._topic(batch.kind), batch.payload, traceparent=traceparent
            )

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            try:
                address = self._identity.topics.parse(str(message.topic))
                if self._ears.tracing is not None and isinstance(address, Address):
                    self._ears.tracing.heard(broker_link.traceparent_of(message))
                self._sort(address, message.payload)
            except Refused as refusal:
                self._drop(str(message.topic), refusal)

    def _sort(self, address: Address | CloudAddress, payload: object) -> None:
        if not isinstance(payload, bytes):
            raise Refused("payload without octets")
        if isinstance(address, CloudAddress):
            if payload and status.cloud_from_payload(payload).state == "online":
                self._window.wake()
                self._changed.set()
                self._ears.cloud_came(address)
        elif address.kind in {Kind.RECEIPTS, Kind.AGAIN}:
            keys, gateway = self._identity.receipt_keys, self._identity.gateway
            read = receipts if address.kind is Kind.RECEIPTS else again
            try:
                self._receipts.put_nowait(read.from_payload(payload, keys, gateway))
            except asyncio.QueueFull:
                raise Refused("receipts faster than the disk; they come again") from None
        else:
            self._ears.deliver(address.kind, payload)

    async def _apply_receipts(self) -> None:
        while True:
            told = await self._receipts.get()
            try:
                if isinstance(told, SendAgain):
                    await self._take_back(told)
                else:
                    await self._release(told)
            except StorageFull as full:
                log.warning("receipts not applied, they come again: %s", full)
            self._changed.set()

    async def _release(self, told: ReceiptList) -> None:
        epoch = self._outbox.epoch
        released = await self._outbox.release(told)
        self._window.released(released)
        if self._outbox.epoch != epoch:
            self._window.taken_back(0)
            self._window.wake()
        if self._ears.tracing is not None:
            self._ears.tracing.receipted(released)

    async def _take_back(self, wish: SendAgain) -> None:
        count = await self._outbox.take_back(wish)
        self._window.taken_back(wish.from_sequence)
        log.warning(
            "the cloud asked for batches from %d on: %d go again", wish.from_sequence, count
        )

    async def _announce(self, client: aiomqtt.Client) -> None:
        while True:
            await asyncio.sleep(self._pace.status_every_s)
            await self._tell_status(client, "online")

    async def _leave_when_told(self) -> None:
        await self._leaving.wait()
        raise _MadeAnew

    async def _tell_status(self, client: aiomqtt.Client, presence: Presence) -> None:
        topic = self._topic(Kind.STATUS)
        await broker_link.publish(client, topic, self._status(presence), retain=True)

    async def _farewell(self, client: aiomqtt.Client) -> None:
        """A clean disconnect cancels the last will, so the status is set by hand."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._tell_status(client, "offline")
        except (aiomqtt.MqttError, TimeoutError):
            log.info("the broker was gone before the farewell")

    def _status(self, presence: Presence) -> bytes:
        return status.to_payload(self._ears.status(presence))

    def _topic(self, kind: Kind) -> str:
        return self._identity.topics.up(self._identity.gateway, kind)

    def _drop(self, topic: str, refusal: Refused) -> None:
        reason = type(refusal).__name__
        self.dropped[reason] += 1
        if self.dropped[reason].bit_count() == 1:
            log.warning("dropped %d so far, now on %s: %s", self.dropped[reason], topic, refusal)
