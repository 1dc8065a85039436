"""A plant: registry, store and energy book on disk, readings as one likes, a clock that stands."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.work import Work
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, CommittedRows, Group, Quantity
from hesper_cloud.thresholds import Validation
from hesper_cloud.validation.dirty import DirtyDays
from hesper_contracts.batch import BatchId
from tables import make_tables

BERLIN = ZoneInfo("Europe/Berlin")
PROFILE = "1.0.99.1.0.255"
ENERGY = Quantity("1.0.1.8.0.255", 0, 30)
EXPORT = Quantity("1.0.2.8.0.255", 0, 30)
VOLTAGE = Quantity("1.0.32.7.0.255", -1, 35)
QUARTER = 900


class Plant:
    ENERGY, EXPORT, VOLTAGE = ENERGY, EXPORT, VOLTAGE

    @staticmethod
    def at(text: str) -> int:
        """Epoch seconds of a wall clock in Berlin."""
        return int(datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp())

    @staticmethod
    def register(start: int, end: int, step: int = 25, first: int = 10_000) -> dict[int, int]:
        """A register that rises evenly, captured every quarter of an hour, both ends included."""
        times = range(start, end + 1, QUARTER)
        return {time: first + step * place for place, time in enumerate(times)}

    def __init__(self, folder: Path) -> None:
        self.now = datetime(2026, 12, 1, tzinfo=UTC)
        self.settings = Settings(
            state=folder, validation=Validation(zone="Europe/Berlin", holidays=frozenset())
        )
        self.engine = open_engine(self.settings.database.url)
        make_tables(self.engine)
        self.store = DuckDbStore(self.settings.readings_file)
        self.book = EnergyBook(self.settings.energy_file)
        self.dirty = DirtyDays(self.engine)
        self.work = Work(self.engine, self.store, self.book, self.settings, lambda: self.now)
        self._sequence = 0

    def add_meter(self, meter: str, **fields: object) -> None:
        with writing(self.engine) as session:
            session.add(Meter(id=meter, first_seen_at=self.now, capture_period_s=900, **fields))

    def set_period(self, meter: str, period_s: int) -> None:
        with writing(self.engine) as session:
            session.get_one(Meter, meter).capture_period_s = period_s

    @staticmethod
    def day(first: str, number: int) -> date:
        """The day so many days after another."""
        return date.fromisoformat(first) + timedelta(days=number)

    @classmethod
    def by_the_wall(cls, first: str, count: int, period_s: int) -> dict[int, int]:
        """A register that rises evenly, captured as Berlin's clock shows multiples of a period."""
        start, end = cls.at(first), cls.at(cls.day(first, count).isoformat())
        walls = {time: datetime.fromtimestamp(time, BERLIN) for time in range(start, end + 1, 900)}
        return {
            time: (time - start) // 36
            for time, wall in walls.items()
            if (wall.hour * 3600 + wall.minute * 60) % period_s == 0
        }

    def put(
        self,
        meter: str,
        values: Mapping[int, int | None],
        quantity: Quantity = ENERGY,
        quality: int = 0,
    ) -> None:
        """Stores readings of one quantity."""
        self.put_all(meter, {quantity: values}, quality)

    def put_all(
        self, meter: str, curves: Mapping[Quantity, Mapping[int, int | None]], quality: int = 0
    ) -> None:
        """Stores readings as ingest does, their days marked, and nothing computed yet."""
        times = sorted(set().union(*curves.values()))
        rows = [[curves[each].get(time) for time in times] for each in sorted(curves)]
        block = Block(
            profile=PROFILE,
            quantities=tuple(sorted(curves)),
            meters=(meter,),
            meter_index=np.zeros(len(times), np.int64),
            captured_at=np.array(times, np.int64),
            clock_status=np.zeros(len(times), np.int64),
            quality=np.full(len(times), quality, np.int64),
            received_at=int(self.now.timestamp()),
            values=np.array([[value or 0 for value in row] for row in rows], np.int64),
            missing=np.array([[value is None for value in row] for row in rows]),
        )
        self._sequence += 1
        batch = BatchId("gw-1", "ab" * 8, self._sequence)
        stored_at = int(self.now.timestamp())
        written = self.store.write(Group({batch: "00" * 32}, [block], stored_at * 1000))
        in_conflict = written.conflicting > 0
        rows = CommittedRows(
            "gw-1", block, written.accepted[0], stored_at, has_conflicts=in_conflict
        )
        self.dirty.rows_committed(rows)
        self.dirty.flush(at_once=True)

    def settle(self) -> None:
        """Works until nothing is marked."""
        while self.work.turn():
            pass

    def close(self) -> None:
        self.store.close()
        self.book.close()
        self.engine.dispose()


@pytest.fixture(scope="session")
def plant_in() -> Callable[[Path], Plant]:
    """Makes a plant in a folder; who asks for it closes it."""
    return Plant


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.close()
