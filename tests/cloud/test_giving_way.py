"""What works in the background rests as long as ingest's work asks for."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from hand_clock import HandClock
from hesper_cloud.giving_way import NO_RESTS, GivesWay, Seldom, rested_s
from hesper_cloud.turns import Job, _timed


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def worked(giving_way: GivesWay, clock: HandClock, *lengths: float) -> Iterator[float]:
    """Works some portions of these lengths; yields the clock's time at the end of each."""
    for length in giving_way.portions(lengths):
        clock.pass_by(length)
        yield clock()


@pytest.mark.parametrize(("busy", "rest_s"), [(1.0, 24.5), (0.5, 2.25), (0.0, 0.0)])
def test_a_portion_is_followed_by_a_rest_by_how_busy_ingest_is(
    clock: HandClock, busy: float, rest_s: float
) -> None:
    giving_way = GivesWay(lambda: busy, clock.pass_by, clock)
    assert list(worked(giving_way, clock, 0.5, 0.5)) == [100.5, 101.0 + rest_s]
    assert clock() == 101.0 + 2 * rest_s


def test_a_rest_ends_when_ingest_has_time_again(clock: HandClock) -> None:
    giving_way = GivesWay(lambda: float(clock() < 103), clock.pass_by, clock)
    assert list(worked(giving_way, clock, 0.5, 0.5)) == [100.5, 104.0]


def test_what_it_takes_to_get_a_portion_is_work_too(clock: HandClock) -> None:
    def read() -> Iterator[float]:
        for number in (1, 2):
            clock.pass_by(0.5)
            yield number

    list(GivesWay(lambda: 0.5, clock.pass_by, clock).portions(read()))
    assert clock() == 100.0 + 2 * (0.5 + 2.25)


def test_what_was_rested_within_a_portion_is_no_work(clock: HandClock) -> None:
    giving_way = GivesWay(lambda: 0.5, clock.pass_by, clock)
    for parts in giving_way.portions([(0.25, 0.5)]):
        list(worked(giving_way, clock, *parts))
    assert clock() == 100.0 + 0.75 + 4.5 * 0.75 + 4.5 * 0.75


def test_while_ingest_has_no_time_to_spare_it_gets_a_fiftieth(clock: HandClock) -> None:
    for busy, rests in ((0.9, 9), (0.95, 19), (1.0, 49)):
        begun = clock()
        list(worked(GivesWay(partial(float, busy), clock.pass_by, clock), clock, 0.0625))
        assert clock() - begun == pytest.approx(0.0625 * (1 + rests))


def test_who_gives_no_way_never_rests(clock: HandClock) -> None:
    before = rested_s.get()
    assert list(worked(NO_RESTS, clock, 5.0, 5.0)) == [105.0, 110.0]
    assert rested_s.get() == before


def test_rests_do_not_count_as_a_jobs_work() -> None:
    giving_way = GivesWay(lambda: 1.0, lambda _: None, iter((0.0, 1000.0, 1000.0)).__next__)
    problem, spent_s = _timed(Job("a test", 1.0, lambda: list(giving_way.portions([1]))))
    assert problem is None
    assert spent_s < -29  # 30 s were rested, though no time passed


def test_who_waited_for_a_lock_rests_half_a_minute_and_no_longer(clock: HandClock) -> None:
    giving_way = GivesWay(lambda: 1.0, clock.pass_by, clock)
    assert list(worked(giving_way, clock, 60.0, 1.0)) == [160.0, 191.0]
    turns = Seldom(1.0, clock)
    turns.turn(lambda: clock.pass_by(60.0) or False)
    written: list[float] = []
    while not written:
        clock.pass_by(1.0)
        turns.turn(lambda: bool(written.append(clock())))
    assert written == [221.0 + 61.0]


def test_a_process_that_ends_waits_for_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hesper_cloud.giving_way._LONGEST_REST_S", 600.0)
    moments = iter(range(0, 1000, 100))
    gives_way = GivesWay(lambda: 1.0, monotonic=lambda: float(next(moments)))
    resting = threading.Thread(target=lambda: list(gives_way.portions([1, 2])), daemon=True)
    resting.start()
    gives_way.stop()
    resting.join(60)
    assert not resting.is_alive()


def test_what_is_written_seldom_goes_on_sooner_while_more_waits(clock: HandClock) -> None:
    turns = Seldom(60.0, clock)
    written: list[float] = []
    waits = iter((True, False, False))

    def write() -> bool:
        written.append(clock())
        clock.pass_by(1.0)
        return next(waits)

    for _ in range(120):
        turns.turn(write)
        clock.pass_by(1.0)
    assert written == [100.0, 150.0, 210.0]  # a fiftieth of the time, then a minute


def test_at_once_writes_until_nothing_waits(clock: HandClock) -> None:
    left = [3, 2, 1]
    Seldom(60.0, clock).turn(lambda: bool(left.pop()) and bool(left), at_once=True)
    assert left == []
