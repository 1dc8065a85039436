"""When the authority takes its turns: at once for whoever asks, seldom for what others write."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hesper_cloud.authority import process

POLL_S = 0.02
TURN_S = 0.1


@dataclass
class World:
    """An authority whose turns take a tenth of a second, on a clock of its own."""

    polls: int = 40
    time_s: float = 100.0
    moving: bool = False
    waiting: bool = True
    awaiting: bool = False
    asked_at: float | None = None
    turns: list[float] = field(default_factory=list)

    def wait(self, seconds: float) -> bool:
        self.time_s += seconds
        self.polls -= 1
        return self.polls < 0

    def now(self) -> float:
        return self.time_s

    def changed(self) -> bool:
        return True

    def turn(self) -> None:
        self.turns.append(self.time_s)
        if self.is_asked():
            self.asked_at = None
        self.time_s += TURN_S

    def is_asked(self) -> bool:
        return self.asked_at is not None and self.time_s >= self.asked_at

    def is_waiting(self) -> bool:
        return self.waiting

    def awaits_results(self) -> bool:
        return self.awaiting

    def has_moving_batches(self) -> bool:
        return self.moving


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    clock = SimpleNamespace(monotonic=made.now, thread_time=made.now)
    monkeypatch.setattr(process, "time", clock)
    return made


def run(world: Any) -> list[float]:
    """Returns how long after a turn the next one began."""
    process.loop(world, world, POLL_S, world)
    return [
        later - before - TURN_S for before, later in zip(world.turns, world.turns[1:], strict=False)
    ]


def test_results_of_a_batch_are_let_gather_for_as_long_as_a_turn_took(world):
    world.moving = True
    assert min(run(world)) >= TURN_S


def test_whoever_asks_ends_the_pause_at_once(world):
    world.moving = True
    world.asked_at = 100.0 + POLL_S + TURN_S + POLL_S / 2
    pauses = run(world)
    assert pauses[0] == pytest.approx(POLL_S)
    assert min(pauses[1:]) >= TURN_S


def test_without_a_batch_no_result_waits_for_what_a_turn_took(world):
    assert max(run(world)) == pytest.approx(POLL_S)


def test_what_others_write_gathers_while_nothing_is_under_way(world):
    world.waiting = False
    world.asked_at = 100.0 + POLL_S + TURN_S + POLL_S / 2
    pauses = run(world)
    assert pauses[0] == pytest.approx(POLL_S)  # somebody asks
    assert min(pauses[1:]) >= 0.25


def test_a_result_that_is_awaited_does_not_wait(world):
    world.waiting, world.awaiting = False, True
    assert max(run(world)) == pytest.approx(POLL_S)
