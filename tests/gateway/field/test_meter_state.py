"""When a meter that does not answer is tried again."""

import logging
from dataclasses import dataclass

from hesper_gateway.config import ScheduleConfig
from hesper_gateway.errors import CredentialsRefused, DialLimit, Hop, MeterSilent
from hesper_gateway.meter_state import MeterState

NOON = 1_790_000_100.0


@dataclass
class Hands:
    time_s: float = NOON

    def now(self) -> float:
        return self.time_s


def test_a_meter_that_goes_is_told_once_and_once_when_it_is_back(caplog):
    caplog.set_level(logging.INFO)
    clock = Hands()
    state = MeterState("HES1", ScheduleConfig(back_off_s=5, back_off_max_s=60), clock.now)
    assert state.succeeded() is None
    pauses = []
    events = []
    for _ in range(8):
        events.append(state.failed(MeterSilent("no answer")))
        pauses.append(state.ready_at() - clock.time_s)
        assert state.ready_at() > clock.time_s
        clock.time_s = state.ready_at()
        assert state.ready_at() <= clock.time_s
    assert [event is not None for event in events] == [True] + [False] * 7
    assert events[0].code == "meter.unreachable"
    assert events[0].attributes["hop"] == "timeout"
    assert pauses[0] <= 5 * 1.25
    assert 60 <= max(pauses) <= 60 * 1.25
    assert pauses[:4] == sorted(pauses[:4])
    back = state.succeeded()
    assert back is not None
    assert back.code == "meter.reachable"
    assert state.ready_at() <= clock.time_s
    assert len(caplog.records) == 2


def test_refused_credentials_are_left_alone_for_longer():
    state = MeterState("HES1", ScheduleConfig(back_off_s=5), Hands().now)
    state.failed(CredentialsRefused("association rejected"))
    assert state.ready_at() - NOON >= 30


def test_a_limit_on_calls_is_no_failure_of_the_meter():
    clock = Hands()
    state = MeterState("HES1", ScheduleConfig(back_off_s=5), clock.now)
    state.succeeded()
    for _ in range(3):
        state.held_back(DialLimit("north: 20 calls in 1 h are made already", 1200))
        assert state.ready_at() == clock.time_s + 1200
        clock.time_s += 1200
    assert (state.reachable, state.failure_count, state.hop) == (True, 0, "")
    assert state.failures == {Hop.DIAL_LIMIT: 3}
    assert state.succeeded() is None
