"""Who takes which kind of message, and what follows committed rows within this process."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from hesper_contracts.events import EventList
from hesper_contracts.topics import Topics
from sqlalchemy import Engine

from hesper_cloud.ingest import identified
from hesper_cloud.ingest.adoption import Adoption
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.events_in import EventRows, Told
from hesper_cloud.ingest.owners import Owners
from hesper_cloud.ingest.readings_in import ReadingsIn
from hesper_cloud.ingest.registry_in import RegistryIn
from hesper_cloud.ingest.replay import Replays
from hesper_cloud.ingest.results_in import ResultRows
from hesper_cloud.ingest.status_in import StatusIn
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.tamper import TamperRule
from hesper_cloud.settings import MOST_UNCOMMISSIONED
from hesper_cloud.stores.port import CommittedRows, ReadingStore

_RATE_WINDOW_S = 10.0


class Rate:
    """Readings per second over the last seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()

    def rows_committed(self, rows: CommittedRows) -> None:
        """Counts new rows."""
        now = time.monotonic()
        self._counts.append((now, int(rows.accepted.sum())))
        while self._counts[0][0] < now - _RATE_WINDOW_S:
            self._counts.popleft()

    def per_second(self) -> float:
        """Returns the mean over the window; may be asked from any thread."""
        oldest = time.monotonic() - _RATE_WINDOW_S
        return sum(count for at, count in tuple(self._counts) if at >= oldest) / _RATE_WINDOW_S


Noted = Callable[[str, Mapping[str, int], int], None]
"""Is told of a profile, the first captures of meters that had none of it, and when they came."""


class CacheFeed:
    """Feeds the latest-value cache, and passes on which meters were new to it."""

    def __init__(self, latest: LatestValues, *noted: Noted) -> None:
        self._latest = latest
        self.noted = list(noted)

    def rows_committed(self, rows: CommittedRows) -> None:
        """Takes new rows."""
        firsts = self._latest.take(rows.block, rows.accepted, rows.stored_at)
        for note in self.noted:
            note(rows.block.profile, firsts, rows.stored_at)


@dataclass(frozen=True, slots=True)
class Intakes:
    """Who takes which kind of message."""

    readings: ReadingsIn
    events: RegistryIn[EventList]
    results: RegistryIn[str]
    status: StatusIn
    replays: Replays
    event_followers: list[Told]
    owners: Owners
    adoption: Adoption

    @classmethod
    def build(
        cls,
        store: ReadingStore,
        engine: Engine,
        latest: LatestValues,
        dead_letters: DeadLetters,
        stop: threading.Event,
        topics: Topics,
        most_names: int = MOST_UNCOMMISSIONED,
    ) -> Self:
        """Builds all of them; ``most_names`` is how many meters a sender may name (`names`)."""
        alerts = Alerts(engine)
        tamper = TamperRule(alerts)
        owners = Owners(engine, alerts, most_names=most_names)
        event_rows = EventRows(
            owners.names,
            (identified.event_stored, tamper.event_stored),
            of_foreign=(owners.foreign_stored, tamper.foreign_stored),
            of_beyond=(owners.beyond_stored,),
        )
        readings = ReadingsIn(store, latest, dead_letters, alerts, owners, stop)
        return cls(
            readings,
            RegistryIn(engine, event_rows, dead_letters, alerts, stop),
            RegistryIn(engine, ResultRows(), dead_letters, alerts, stop),
            StatusIn(engine),
            Replays(engine, topics, readings, event_rows),
            event_rows.followers,
            owners,
            Adoption(engine, store, topics, readings, owners, stop),
        )
