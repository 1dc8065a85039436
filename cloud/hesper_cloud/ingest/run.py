"""Ingest as a service: a consumer thread, a writer thread, and what ties them together.

The consumer's thread only receives. A second one gathers a group of messages and decodes it while
the writer's thread makes the group before durable, hands the receipts out, gives the messages back
to the broker, and only then tells the rules (they compare with the value before), the latest values
and the contacts. A fourth thread writes contacts and relay states into the registry.

While the store is away gateways send ever more rarely, up to five minutes apart. So the consumer
announces itself again when it is back, and what waits comes at once.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hesper_contracts import trace
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Signer
from hesper_contracts.topics import Topics
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import metrics
from hesper_cloud.ingest.beginnings import Beginnings
from hesper_cloud.ingest.consumer import Connection, Consumer
from hesper_cloud.ingest.contacts import Contacts
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode import Decoded, rejected
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.door import Door
from hesper_cloud.ingest.grouping import Grouping
from hesper_cloud.ingest.intakes import CacheFeed, Intakes, Rate
from hesper_cloud.ingest.message import Message, Settled
from hesper_cloud.ingest.occupation import Occupation
from hesper_cloud.ingest.persist import Stopped, until_stored
from hesper_cloud.ingest.readings_in import Aftermath
from hesper_cloud.ingest.receipts import Receipts
from hesper_cloud.ingest.relay_states import RelayStates
from hesper_cloud.ingest.send_again import SendsAgain
from hesper_cloud.ingest.stages import recorded, stage
from hesper_cloud.ingest.traces import IngestTraces
from hesper_cloud.latest import LatestValues
from hesper_cloud.observing.context import within
from hesper_cloud.outages.losses import Losses
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.built_in import VoltageBand
from hesper_cloud.rules.engine import RuleEngine
from hesper_cloud.rules.reverse_energy import ReverseEnergyRule
from hesper_cloud.rules.voltage import VoltageRule
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.validation.dirty import DirtyDays

if TYPE_CHECKING:
    from hesper_cloud.observing.tracer import Tracer

log = logging.getLogger(__name__)

_STOP_S = 15.0
_REGISTRY_TICK_S = 0.1
_AWAY_S = 15.0
"""No group takes so long but one that waited for the store."""


class Ingest:
    """The ingest role; `run` is its whole life."""

    def __init__(
        self,
        settings: Settings,
        store: ReadingStore,
        engine: Engine,
        signer: Signer,
        latest: LatestValues,
        tracer: "Tracer | None" = None,
    ) -> None:
        self._store = store
        self._latest = latest
        self._stop = threading.Event()
        self.dead_letters = DeadLetters(engine)
        self.rate = Rate()
        self.occupation = Occupation()
        self.consumer = Consumer(connection(settings), self.dead_letters.add)
        metrics.WAITING.set_function(self.consumer.messages.qsize)
        self._receipts = Receipts(signer, self.consumer.publish)
        self._traces = None if tracer is None else IngestTraces(tracer)
        self._contacts = Contacts(engine)
        self._beginnings = Beginnings(engine)
        self._relays = RelayStates(engine)
        self._dirty = DirtyDays(engine)
        self._sends_again = SendsAgain(engine, signer, self.consumer.publish)
        topics = Topics(settings.broker.root)
        self.door = Door(self.consumer.messages, topics)
        self._intakes = Intakes.build(store, engine, latest, self.dead_letters, self._stop, topics)
        alerts = Alerts(engine)
        band = VoltageBand(settings.rules)
        self._rules = RuleEngine(engine, alerts, latest, tuned=(band,))
        self._intakes.event_followers.extend([self._rules.event_stored, Losses().event_stored])
        self._intakes.readings.judges += [
            VoltageRule(alerts, band),
            ReverseEnergyRule(alerts, latest),  # before the cache: compares with the value before
            self._rules,  # so do these
            CacheFeed(latest, self._beginnings),
            self.rate,
        ]
        self._intakes.readings.followers += [self._contacts, self._relays, self._dirty]
        self._grouping = Grouping(
            self.consumer.messages,
            settings.ingest.group_max_messages,
            settings.ingest.group_linger_ms / 1000,
            settings.group_max_octets,
        )

    async def run(self) -> None:
        """Runs until cancelled; ends with the writer's error if it failed."""
        try:
            await asyncio.to_thread(until_stored, self._load_latest, self._stop)
        except asyncio.CancelledError:
            self._stop.set()  # the thread would try a store that is down for ever
            raise
        self.consumer.start()
        writer = asyncio.create_task(asyncio.to_thread(self._work), name="ingest writer")
        registry = asyncio.create_task(
            asyncio.to_thread(self._keep_registry), name="ingest registry"
        )
        try:
            await asyncio.wait({writer, registry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            await asyncio.wait_for(asyncio.gather(writer, registry), _STOP_S)
            await asyncio.to_thread(self.consumer.stop)

    def _load_latest(self) -> None:
        self._latest.load(self._store)

    def _work(self) -> None:
        with ThreadPoolExecutor(1, "ingest decode") as ahead:
            coming = ahead.submit(self._next_group)
            while not self._stop.is_set():
                group, decoded = coming.result()
                coming = ahead.submit(self._next_group)
                begun = time.monotonic()
                try:
                    with self.occupation.working():
                        self._settle(group, decoded)
                    if time.monotonic() - begun > _AWAY_S:
                        self.consumer.announce()
                    self._replay()
                except Stopped:
                    break

    def _replay(self) -> None:
        try:
            self._intakes.replays.turn()
        except SQLAlchemyError as error:
            log.warning("dead letters are not tried again now: %s", error)

    def _next_group(self) -> tuple[list[Message], list[Decoded | Refused] | None]:
        """Returns a group with its readings taken apart; None where that failed unforeseen.

        Then each message is tried again by itself, and only the one at fault is set aside.
        """
        group = self._grouping.next_group()
        with stage("decode"), contextlib.suppress(Exception):
            return group, decode_all(_readings(group))
        return group, None

    def _keep_registry(self) -> None:
        """Writes contacts and relay states until told to stop, on a thread of its own."""
        while not self._stop.wait(_REGISTRY_TICK_S):
            with stage("registry"):
                self._contacts.flush()
                self._beginnings.flush()
                self._relays.flush()
                self._send_again()
                self._dirty.flush()
                self._rules.refresh()
        self._contacts.flush(at_once=True)
        self._beginnings.flush(at_once=True)
        self._dirty.flush(at_once=True)

    def _send_again(self) -> None:
        if self.consumer.announced.is_set():
            try:
                self._sends_again.flush()
            except SQLAlchemyError as error:
                log.warning("batches are not asked for again now: %s", error)

    def _settle(
        self, group: Sequence[Message], decoded: list[Decoded | Refused] | None = None
    ) -> None:
        """Settles a group; one message that nobody foresaw must not hold up the others."""
        try:
            self._take_traced(group, decode_all(_readings(group)) if decoded is None else decoded)
        except Stopped:
            raise
        except Exception as error:
            if len(group) > 1:
                for message in group:
                    with within(trace.of_batch(message.gateway, message.payload)):
                        self._settle([message])
                return
            log.exception("message on %s could not be settled", group[0].topic)
            metrics.ERRORS.labels("ingest", "unforeseen").inc()
            reason = f"unforeseen {type(error).__name__}: {error}"
            self.dead_letters.add(group[0].topic, group[0].payload, reason)
            self._receipts.give(self.door.told(rejected(group[0], reason)))
            self.consumer.acknowledge([group[0].delivery])

    def _take_traced(self, group: Sequence[Message], decoded: list[Decoded | Refused]) -> None:
        """Settles a group, and tells of it where one of its messages is traced."""
        if self._traces is None or not any(message.trace for message in group):
            self._take(group, decoded)
            return
        with recorded() as marks:
            self._take(group, decoded)
        self._traces.tell(group, marks)

    def _take(self, group: Sequence[Message], decoded: list[Decoded | Refused]) -> None:
        by_kind: dict[Kind, list[Message]] = {}
        for message in group:
            by_kind.setdefault(message.kind, []).append(message)
        for message in by_kind.get(Kind.STATUS, ()):
            self._take_status(message)
        settled: list[Settled] = []
        aftermath = Aftermath((), ())
        if readings := by_kind.get(Kind.READINGS):
            settled, aftermath = self._intakes.readings.store(readings, decoded)
        if events := by_kind.get(Kind.EVENTS):
            with stage("store events"):
                settled += self._intakes.events.store(events)
        if results := by_kind.get(Kind.RESULTS):
            with stage("store results"):
                settled += self._intakes.results.store(results)
        with stage("receipts"):
            self._receipts.give(self.door.told(settled))
        with stage("acknowledge"):
            self.consumer.acknowledge([message.delivery for message in group])
        try:
            with stage("rules and latest values"):
                aftermath.tell()
        except SQLAlchemyError as error:
            log.warning("rules could not write their alerts: %s", error)

    def _take_status(self, message: Message) -> None:
        try:
            until_stored(lambda: self._intakes.status.take(message), self._stop)
        except Refused as error:
            self.dead_letters.add(message.topic, message.payload, str(error))


def _readings(group: Sequence[Message]) -> list[Message]:
    return [message for message in group if message.kind is Kind.READINGS]


def connection(settings: Settings) -> Connection:
    """Returns how the consumer reaches the broker."""
    broker = settings.broker
    return Connection(
        host=broker.host,
        port=broker.port,
        root=broker.root,
        account=broker.ingest,
        tls_ca=broker.tls_ca,
        instance=settings.ingest.instance,
        receive_maximum=min(2 * settings.ingest.group_max_messages, 0xFFFF),
        traced=settings.tracing.is_on,
    )
