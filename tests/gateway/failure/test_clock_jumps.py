"""Clocks that jump by hours or years change neither pauses, nor the order of work, nor batches."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hesper_contracts.readings import Section
from hesper_contracts.signing import Signer
from hesper_gateway.config import ScheduleConfig
from hesper_gateway.database import Database
from hesper_gateway.errors import CredentialsRefused, Hop, LineDown, MeterSilent
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import Outbox
from hesper_gateway.schedule import Plan
from hesper_gateway.visit import Work

NOON = 1_790_000_000.0
HOUR, YEAR = 3600.0, 365 * 86400.0
JUMPS = [-56 * YEAR, -HOUR, HOUR, 10 * YEAR]


@dataclass
class Hands:
    """A clock that anyone may set, and one that nobody does."""

    wall_s: float = NOON
    steady_s: float = 0.0

    def go(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds

    def state(self, failures: Counter[Hop] | None = None) -> MeterState:
        schedule = ScheduleConfig(back_off_s=60, back_off_max_s=60)
        return MeterState(
            "HES1",
            schedule,
            lambda: self.wall_s,
            lambda: self.steady_s,
            Counter() if failures is None else failures,
        )


@pytest.mark.parametrize("jump_s", JUMPS)
def test_a_pause_lasts_as_long_as_it_should(jump_s: float) -> None:
    hands = Hands()
    state = hands.state()
    state.failed(MeterSilent("no answer"))
    hands.wall_s += jump_s
    assert 60 <= state.ready_at() - hands.wall_s <= 60 * 1.25
    hands.go(59)
    assert state.ready_at() > hands.wall_s
    hands.go(60 * 1.25 - 59)
    assert state.ready_at() <= hands.wall_s


def test_a_pause_that_is_over_is_over_though_the_clock_goes_on_meanwhile() -> None:
    """Whoever looked at the clock first and asked then would wait a moment more, for ever."""
    hands = Hands()
    state = hands.state()
    state.failed(MeterSilent("no answer"))
    hands.go(80)
    looked_at = hands.wall_s
    hands.go(1e-6)
    assert state.ready_at() <= looked_at


def test_how_long_a_meter_was_gone_is_told_by_the_steady_clock() -> None:
    hands = Hands()
    state = hands.state()
    state.failed(MeterSilent("no answer"))
    hands.go(120)
    hands.wall_s += 10 * YEAR
    back = state.succeeded()
    assert back is not None
    assert back.text == "answers again after 120 s"


@pytest.mark.parametrize("jump_s", JUMPS)
def test_work_is_due_within_two_intervals_of_any_jump(jump_s: float) -> None:
    plan = Plan(ScheduleConfig(snapshot_s=60, events_s=300, profile_s=900), offset_s=3.0)
    for work in Work:
        plan.done(work, NOON)
    now = NOON + jump_s
    for work in Work:
        waited_s = 0.0
        while work not in plan.due(now + waited_s):
            waited_s += 30
            assert waited_s <= 2 * plan.interval_s(work)


@pytest.mark.parametrize("jump_s", JUMPS)
def test_nobody_sleeps_longer_than_two_intervals_after_any_jump(jump_s: float) -> None:
    plan = Plan(ScheduleConfig(snapshot_s=60, events_s=300, profile_s=900), offset_s=3.0)
    for work in Work:
        plan.done(work, NOON)
    now = NOON + jump_s
    assert plan.next_at(now) <= now + 2 * 60


async def test_batches_keep_their_order(tmp_path: Path, section: Callable[..., Section]) -> None:
    moments = [datetime(2026, 3, 1, tzinfo=UTC)]
    database = Database(tmp_path / "gateway.db", ballast_octets=0)
    outbox = Outbox(database, Signer.generate(), clock=lambda: moments[0])
    for years in (0, -50, 30, -20):
        moments[0] += timedelta(days=365 * years)
        await outbox.append_readings([section("M1", 1_790_000_100)])
    assert outbox.readings_after(-1, 10) == [1, 2, 3, 4]
    database.close()


def test_failures_are_counted_by_hop() -> None:
    counted: Counter[Hop] = Counter()
    state = Hands().state(counted)
    for error in (LineDown("x"), MeterSilent("x"), CredentialsRefused("x", Hop.COUNTER)):
        state.failed(error)
        state.failed(error)
    assert counted == {Hop.LINE: 2, Hop.TIMEOUT: 2, Hop.COUNTER: 2}
