"""How much of its time ingest works, and what jobs are left with."""

from datetime import UTC, datetime, timedelta

import pytest
from hand_clock import HandClock
from hesper_cloud.ingest.occupation import Occupation
from hesper_cloud.turns import HOUR_S, Job, Schedule

NOON = datetime.fromtimestamp(1_790_000_100, UTC)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_a_thread_that_never_worked_is_not_busy(clock: HandClock) -> None:
    assert Occupation(clock).share() == 0.0


def test_work_counts_while_it_lasts_and_fades_afterwards(clock: HandClock) -> None:
    occupation = Occupation(clock)
    with occupation.working():
        clock.now += 2.0
        assert occupation.share() == pytest.approx(0.4)
    clock.now += 4.0
    assert occupation.share() == pytest.approx(0.2)  # its second second is still in the window
    clock.now += 2.0
    assert occupation.share() == 0.0


def test_work_longer_than_the_window_is_all_of_it(clock: HandClock) -> None:
    occupation = Occupation(clock)
    with occupation.working():
        clock.now += 60.0
        assert occupation.share() == 1.0
    assert occupation.share() == 1.0


def test_what_two_threads_do_at_once_counts_once(clock: HandClock) -> None:
    occupation = Occupation(clock)
    with occupation.working():
        clock.now += 1.0
        with occupation.working():
            clock.now += 1.0
        clock.now += 1.0
        assert occupation.share() == pytest.approx(0.6)
    clock.now += 2.0
    assert occupation.share() == pytest.approx(0.6)


def test_a_failure_ends_the_work(clock: HandClock) -> None:
    occupation = Occupation(clock)
    with pytest.raises(OSError, match="full"), occupation.working():
        raise OSError("full")
    clock.now += 60.0
    assert occupation.share() == 0.0


@pytest.mark.parametrize(
    ("spent_s", "busy", "pause_s"),
    [
        (10.0, 0.0, 90.0),  # a tenth
        (10.0, 0.5, 190.0),  # a tenth of the half that ingest leaves
        (10.0, 1.0, 490.0),  # a fiftieth
        (300.0, 1.0, HOUR_S),  # ingest alone puts nothing off for longer than an hour …
        (600.0, 1.0, 5400.0),  # … but the job's own length does
    ],
)
def test_jobs_take_a_share_of_what_ingest_leaves(
    spent_s: float, busy: float, pause_s: float
) -> None:
    job = Job("long", 2.0, lambda: None)
    schedule = Schedule([job], NOON)
    assert schedule.due(NOON) == [job]
    schedule.took(job, NOON, spent_s, busy)
    assert schedule.due(NOON + timedelta(seconds=pause_s - 1)) == []
    assert schedule.due(NOON + timedelta(seconds=pause_s + 1)) == [job]
