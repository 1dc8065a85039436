"""A registry on disk, rules in it, and readings and events to feed them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, Event, Meter, RuleTrial
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules import editing
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.definition import Definition
from hesper_cloud.rules.engine import RuleEngine
from hesper_cloud.rules.rounds import Rounds
from hesper_cloud.stores.port import Block, CommittedRows, Quantity
from hesper_contracts import events
from sqlalchemy import Engine, select
from tables import make_tables

T0 = 1_790_000_100
VOLTAGE = "1.0.32.7.0.255"
LOAD_PROFILE = "1.0.99.1.0.255"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    make_tables(opened)
    yield opened
    opened.dispose()


def block_of(points: list[tuple[str, int, int | None]], quantity: Quantity) -> Block:
    """Rows of one quantity: (meter, seconds after T0, value)."""
    meters = tuple(dict.fromkeys(meter for meter, _, _ in points))
    missing = np.array([[value is None for _, _, value in points]])
    return Block(
        profile=LOAD_PROFILE,
        quantities=(quantity,),
        meters=meters,
        meter_index=np.array([meters.index(meter) for meter, _, _ in points]),
        captured_at=np.array([T0 + second for _, second, _ in points]),
        clock_status=np.zeros(len(points), dtype=np.int64),
        quality=np.zeros(len(points), dtype=np.int64),
        received_at=T0 + max(second for _, second, _ in points),
        values=np.array([[value or 0 for _, _, value in points]]),
        missing=missing if missing.any() else None,
    )


@dataclass
class World:
    """One head end's rules at work, with a clock that is set by what happens."""

    registry: Engine
    latest: LatestValues = field(default_factory=LatestValues)
    now: float = T0
    quantity: Quantity = field(default_factory=lambda: Quantity(VOLTAGE, -1, 35))
    events_told: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> "World":
        """As after a start of the process: nothing is remembered but what is on disk."""
        alerts = Alerts(self.registry, self.clock)
        self.rules = RuleEngine(self.registry, alerts, lambda: self.now)
        self.rounds = Rounds(self.registry, alerts, self.latest, self.clock)
        return self

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    def rule(
        self, condition: dict[str, Any], state: str = "on", name: str = "r", **said: Any
    ) -> None:
        """Writes a rule, or its next version, and switches it."""
        definition = Definition.model_validate({"title": name, "condition": condition, **said})
        alerts = Alerts(self.registry, self.clock)
        with writing(self.registry) as session:
            editing.save(session, alerts, name, definition, ("ann", self.clock(), ""))
            editing.set_state(session, alerts, name, state, ("ann", self.clock()))
        self.rules.refresh(at_once=True)

    def meters(self, *names: str, **columns: Any) -> None:
        with writing(self.registry) as session:
            for name in names:
                session.add(Meter(id=name, first_seen_at=self.clock(), **columns))

    def see(self, *points: tuple[str, int, int | None]) -> list[str]:
        """Commits readings; returns how the alerts stand."""
        self.now = max(self.now, T0 + max(second for _, second, _ in points))
        rows = self.rows(*points)
        self.latest.take(rows.block, rows.accepted, int(self.now))
        self.rules.rows_committed(rows)
        return self.alerts()

    def rows(self, *points: tuple[str, int, int | None]) -> CommittedRows:
        """Readings as they are told of when they are committed."""
        block = block_of(list(points), self.quantity)
        new, before = np.ones(block.row_count, dtype=bool), self.latest.previous(block)
        return CommittedRows("gw-1", block, new, int(self.now), before)

    def tell(self, meter: str, second: int, code: str, ahead: int = 0) -> list[str]:
        """Stores an event and lets the rules follow it; returns how the alerts stand.

        The meter's clock is ``ahead`` of ours by so many seconds.
        """
        self.now = max(self.now, T0 + second)
        self.events_told += 1
        at = datetime.fromtimestamp(T0 + second + ahead, UTC)
        told = events.Event(id=f"e{self.events_told}", code=code, occurred_at=at, meter=meter)
        with writing(self.registry) as session:
            session.add(
                Event(
                    id=told.id, meter=meter, gateway="gw-1", code=code, severity="info",
                    occurred_at=at, stored_at=self.clock(), text="", attributes={},
                )
            )  # fmt: skip
            session.flush()
            self.rules.event_stored(session, "gw-1", told)
        return self.alerts()

    def round(self, second: int) -> list[str]:
        """Lets the five minutes' work look; returns how the alerts stand."""
        self.now = max(self.now, T0 + second)
        self.rounds.turn()
        return self.alerts()

    def alerts(self) -> list[str]:
        """What was raised: ``M1 +60`` while open, ``M1 +60 -300`` when cleared."""
        with reading(self.registry) as session:
            rows = session.scalars(select(Alert).order_by(Alert.id)).all()
            return [
                shown(each.meter or each.element or each.gateway or each.rule, each)
                for each in rows
            ]

    def texts(self) -> list[str]:
        with reading(self.registry) as session:
            return list(session.scalars(select(Alert.text).order_by(Alert.id)))

    def trials(self) -> list[str]:
        with reading(self.registry) as session:
            rows = session.scalars(select(RuleTrial).order_by(RuleTrial.id)).all()
            return [shown(each.subject, each) for each in rows]


def shown(subject: str, row: Any) -> str:
    begun = f"{subject} +{int(row.raised_at.timestamp()) - T0}"
    return begun + (f" -{int(row.cleared_at.timestamp()) - T0}" if row.cleared_at else "")


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


@pytest.fixture
def at() -> Callable[[int], datetime]:
    """The moment so many seconds after the beginning."""
    return lambda second: datetime.fromtimestamp(T0, UTC) + timedelta(seconds=second)
