"""Ingest as a service: its threads, and what ties them together.

The consumer's thread only receives. A second one gathers a group of messages and decodes it while
the store takes the group before from the writer's thread, and a fourth gives the receipts of the
one before that and tells the rules and contacts of it (`settling`). A fifth writes contacts and
relay states into the registry.

While the store is away everything but readings passes (`passing`), and gateways send ever more
rarely, up to five minutes apart. So the consumer announces itself again when it is back, and what
waits comes at once.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Signer
from hesper_contracts.topics import Topics
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import metrics
from hesper_cloud.ingest import persist
from hesper_cloud.ingest.aftermath import Committed
from hesper_cloud.ingest.ahead import Ahead
from hesper_cloud.ingest.answers import Answers
from hesper_cloud.ingest.beginnings import Beginnings
from hesper_cloud.ingest.consumer import Connection, Consumer
from hesper_cloud.ingest.contacts import Contacts
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode import Decoded
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.door import Door
from hesper_cloud.ingest.grouping import Grouping
from hesper_cloud.ingest.heartbeat import Heartbeat
from hesper_cloud.ingest.intakes import CacheFeed, Intakes, Rate
from hesper_cloud.ingest.message import Message
from hesper_cloud.ingest.passing import Passing
from hesper_cloud.ingest.persist import Stopped, until_stored
from hesper_cloud.ingest.receipts import Receipts
from hesper_cloud.ingest.relay_states import RelayStates
from hesper_cloud.ingest.send_again import SendsAgain
from hesper_cloud.ingest.settling import Settling
from hesper_cloud.ingest.stages import stage
from hesper_cloud.ingest.traces import IngestTraces
from hesper_cloud.latest import LatestValues
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


class Follower(Committed, Protocol):
    """What is told of all that is stored, and put in order ten times a second."""

    def note(self, profile: str, firsts: Mapping[str, int], stored_at: int) -> None:
        """Takes first captures of meters that had none of a profile, once it knows the rows."""
        ...

    def flush(self) -> None:
        """Does what it need not have done at once."""
        ...


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
        self.consumer = Consumer(connection(settings), self.dead_letters.add)
        metrics.WAITING.set_function(self.consumer.messages.qsize)
        self._contacts = Contacts(engine)
        self._beginnings = Beginnings(engine)
        self._relays = RelayStates(engine)
        self._dirty = DirtyDays(engine)
        self._flushed: list[Follower] = []
        hears = self.consumer.announced.is_set
        self._heartbeat = Heartbeat(engine, settings.ingest.instance, hears)
        self._sends_again = SendsAgain(engine, signer, self.consumer.publish)
        topics = Topics(settings.broker.root)
        self.door = Door(self.consumer.messages, topics)
        most = settings.ingest.most_uncommissioned_meters
        self._intakes = Intakes.build(
            store, engine, latest, self.dead_letters, self._stop, topics, most
        )
        alerts = Alerts(engine)
        band = VoltageBand(settings.rules)
        self._rules = RuleEngine(engine, alerts, tuned=(band,))
        self._intakes.event_followers.extend([self._rules.event_stored, Losses().event_stored])
        self._cache_feed = CacheFeed(latest, self._beginnings.note)
        self._intakes.readings.witnesses.append(self._cache_feed)
        self._intakes.readings.judges += [
            VoltageRule(alerts, band),
            ReverseEnergyRule(alerts),
            self._rules,
            self.rate,
        ]
        self._intakes.readings.followers += [self._contacts, self._relays, self._dirty]
        self._settling = Settling(
            self._intakes,
            Answers(Receipts(signer, self.consumer.publish), self.door, self.consumer),
            self.dead_letters,
            self._stop,
            None if tracer is None else IngestTraces(tracer),
        )
        self.occupation = self._settling.occupation
        passing = Passing(self.consumer.messages, self._settling)
        self._intakes.readings.meanwhile = passing.turn
        self._grouping = Grouping(
            self.consumer.messages,
            settings.ingest.group_max_messages,
            settings.ingest.group_linger_ms / 1000,
            settings.ingest.group_max_octets,
        )

    def follow(self, follower: Follower) -> None:
        """Tells it of all that is stored from now on, before anybody who may fail."""
        self._intakes.readings.witnesses.insert(0, follower)
        self._cache_feed.noted.append(follower.note)
        self._flushed.append(follower)

    def ring_for_events(self, ring: Callable[[], None]) -> None:
        """Has it called whenever events were committed, on the writer's thread."""
        self._intakes.events.bells.append(ring)

    async def run(self) -> None:
        """Runs until cancelled; ends with the writer's error if it failed."""
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

    def _work(self) -> None:
        """Comes to the broker once the store has been read, and works until told to stop."""
        with (
            contextlib.suppress(Stopped),
            ThreadPoolExecutor(1, "ingest decode") as pool,
            self._settling.until_told(),
        ):
            until_stored(lambda: self._latest.load(self._store), self._stop)
            self.consumer.start()
            groups = Ahead(pool, self._next_group)
            self._intakes.readings.writing = groups.begin
            while not self._stop.is_set():
                self._settle(*groups.next())
                self._replay()
                self._adopt()

    def _settle(self, group: list[Message], decoded: list[Decoded | Refused] | None) -> None:
        begun = time.monotonic()
        if group:
            self._settling.settle(group, decoded)
        else:
            self._settling.finish()
        took_s = time.monotonic() - begun
        self._grouping.settled(group, took_s)
        if took_s > persist.AWAY_S:
            self._settling.finish()  # first what is stored is receipted
            self.consumer.announce()

    def _replay(self) -> None:
        replays = self._intakes.replays
        try:
            if letters := replays.asked_for():
                self._settling.finish()
                replays.try_again(letters)
        except SQLAlchemyError as error:
            log.warning("dead letters are not tried again now: %s", error)

    def _adopt(self) -> None:
        adoption = self._intakes.adoption
        try:
            if kept := adoption.due():
                self._settling.finish()
                adoption.take_over(kept)
        except SQLAlchemyError as error:
            log.warning("readings that were kept apart are not taken over now: %s", error)

    def _next_group(self) -> tuple[list[Message], list[Decoded | Refused] | None]:
        """Returns a group with its readings taken apart; None where that failed unforeseen.

        Then each message is tried again by itself, and only the one at fault is set aside.
        """
        group = self._grouping.next_group()
        with stage("decode"), contextlib.suppress(Exception):
            return group, decode_all([each for each in group if each.kind is Kind.READINGS])
        return group, None

    def _keep_registry(self) -> None:
        """Writes contacts and relay states until told to stop, on a thread of its own."""
        while not self._stop.wait(_REGISTRY_TICK_S):
            with stage("registry"):
                self._heartbeat.flush()
                self._contacts.flush()
                self._beginnings.flush()
                self._relays.flush()
                self._send_again()
                self._dirty.flush()
                self._intakes.owners.flush()
                self._rules.refresh()
            for follower in self._flushed:
                follower.flush()
        self._contacts.flush(at_once=True)
        self._beginnings.flush(at_once=True)
        self._dirty.flush(at_once=True)
        self._heartbeat.end()

    def _send_again(self) -> None:
        if self.consumer.announced.is_set():
            try:
                self._sends_again.flush()
            except SQLAlchemyError as error:
                log.warning("batches are not asked for again now: %s", error)


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
