"""Long jobs: portions with their cursor, lanes, faults, what is unavailable, cancelling."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.db.base import RegistryBase
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Area, LongJob, ScheduledRun
from hesper_cloud.long_jobs import asking
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.long_jobs.kinds import Effect, JobFailed, Progress, Work
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.long_jobs.scheduled import ScheduledRuns
from hesper_cloud.stores.port import StoreUnavailable
from hesper_cloud.turns import DAY_S, Job, Schedule, perform
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    found = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    RegistryBase.metadata.create_all(found)
    yield found
    found.dispose()


@dataclass
class Naming:
    """Work that adds an area a portion, named by the job and the place of its cursor."""

    portions: int
    name: str = "naming"
    lane: str = "names"
    fails: list[Exception] = field(default_factory=list)
    late: bool = False  # the failure comes when the effect is already in the transaction
    between: Callable[[Work], object] = lambda _: None

    def prepare(self, work: Work) -> Effect:
        at = work.cursor.get("at", 0)
        if self.fails and not self.late:
            raise self.fails.pop()
        self.between(work)

        def effect(session: Session) -> Progress:
            session.add(Area(name=f"{work.id}-{at}"))
            session.flush()
            if self.fails:
                raise self.fails.pop()
            following = {"at": at + 1} if at + 1 < self.portions else None
            return Progress(at + 1, self.portions, following, {"named": at + 1})

        return effect


def asked(engine: Engine, kind: str = "naming") -> int:
    with writing(engine) as session:
        return ask(session, Wish(kind, "to name areas", "ann"), NOON)


def job(engine: Engine, number: int) -> LongJob:
    with reading(engine) as session:
        return session.get_one(LongJob, number)


def names(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(session.scalars(select(Area.name).order_by(Area.name)))


def runner(engine: Engine, *kinds: Any) -> Runner:
    return Runner(engine, kinds, lambda: NOON)


def test_a_job_goes_on_portion_by_portion_until_it_is_done(engine: Engine) -> None:
    number, running = asked(engine), runner(engine, Naming(3))
    assert job(engine, number).state == "waiting"
    assert running.turn()
    half = job(engine, number)
    assert (half.state, half.done, half.total, half.cursor) == ("running", 1, 3, {"at": 1})
    assert runner(engine, Naming(3)).turn(), "another process goes on at the cursor"
    assert running.turn()
    done = job(engine, number)
    assert (done.state, done.done, done.result) == ("done", 3, {"named": 3})
    assert (done.begun_at, done.ended_at) == (NOON, NOON)
    assert names(engine) == [f"{number}-{at}" for at in range(3)]
    assert not running.turn()


def test_the_log_says_when_a_job_begins_and_how_it_ends(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = asked(engine), asked(engine)
    running = runner(engine, naming := Naming(3))
    while running.turn():
        if job(engine, first).state == "done":
            naming.fails = [JobFailed("no area is left")]
    assert caplog.messages == [
        f"job {first} (naming) has begun",
        f"job {first} (naming) is done: 3",
        f"job {second} (naming) failed: no area is left",
    ]


def test_jobs_of_a_lane_wait_for_each_other_and_lanes_take_turns(engine: Engine) -> None:
    first, second = asked(engine), asked(engine)
    other = asked(engine, "counting")
    running = runner(engine, Naming(2), Naming(2, "counting", "counts"))
    for _ in range(4):
        running.turn()
    assert [job(engine, each).state for each in (first, other, second)] == [
        "done",
        "done",
        "waiting",
    ]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("fault", "state", "says"),
    [
        (JobFailed("the file is gone"), "failed", "the file is gone"),
        (ZeroDivisionError(), "failed", "a fault of ours"),
        (IntegrityError("", None, Exception()), "failed", "a fault of ours"),
        (OperationalError("", None, Exception()), "waiting", "waits: OperationalError"),
        (StoreUnavailable("gone"), "waiting", "waits: StoreUnavailable"),
        (OSError("no space"), "waiting", "waits: OSError"),
    ],
)
def test_faults_leave_nothing_of_their_portion(
    engine: Engine, fault: Exception, state: str, says: str, late: bool
) -> None:
    number = asked(engine)
    running = runner(engine, Naming(1, fails=[fault], late=late))
    running.turn()
    found = job(engine, number)
    assert (found.state, names(engine)) == (state, [])
    assert says in (found.problem or "")
    assert running.turn() is (state == "waiting"), "what is unavailable is tried again"


def test_a_job_that_waits_says_so_once_and_once_that_it_goes_on(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    number = asked(engine)
    running = runner(engine, Naming(1, fails=[StoreUnavailable("gone")] * 5))
    assert [running.turn() for _ in range(6)] == [False] * 5 + [True]
    assert caplog.messages == [
        f"job {number} (naming) put off, tried again until it can be done: gone",
        f"job {number} (naming) has begun",
        f"job {number} (naming) is done: 1",
        f"job {number} (naming) goes on; it was put off 5 times",
    ]


def test_work_that_this_version_does_not_know_fails(engine: Engine) -> None:
    number = asked(engine, "dancing")
    runner(engine).turn()
    assert "no work of kind 'dancing'" in (job(engine, number).problem or "")


def test_a_job_that_is_cancelled_during_a_portion_has_none_of_it(engine: Engine) -> None:
    def cancel(work: Work) -> None:
        with writing(engine) as session:
            assert asking.cancel(session, work.id, "cleo", NOON)

    number = asked(engine)
    runner(engine, Naming(2, between=cancel)).turn()
    found = job(engine, number)
    assert (found.state, found.ended_by, names(engine)) == ("cancelled", "cleo", [])
    with writing(engine) as session:
        assert not asking.cancel(session, number, "cleo", NOON), "it has ended"
        assert asking.resume(session, number)
        assert not asking.resume(session, number), "it has not ended"
    assert job(engine, number).ended_by is None


def test_a_portion_that_another_runner_did_meanwhile_is_dropped(engine: Engine) -> None:
    def overtaken(_: Work) -> None:
        assert runner(engine, Naming(2)).turn()

    number = asked(engine)
    runner(engine, Naming(2, between=overtaken)).turn()
    assert (job(engine, number).done, names(engine)) == (1, [f"{number}-0"])


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def run_of(engine: Engine, name: str) -> ScheduledRun:
    with reading(engine) as session:
        return session.get_one(ScheduledRun, name)


def test_runs_of_scheduled_jobs_are_kept(engine: Engine) -> None:
    clock = Clock()
    runs = ScheduledRuns(engine, clock)
    runs.began("rules", 300.0)
    runs.keep()
    assert run_of(engine, "rules").ended_at is None, "it runs"
    clock.now += timedelta(seconds=2)
    following = clock.now + timedelta(seconds=300)
    runs.ended("rules", 2.0, None, following)
    runs.keep()
    row = run_of(engine, "rules")
    assert (row.begun_at, row.ended_at, row.seconds, row.next_at) == (
        NOON,
        clock.now,
        2.0,
        following,
    )
    assert (row.run_count, row.failure_count, row.problem) == (1, 0, None)
    runs.began("rules", 300.0)
    runs.ended("rules", 1.0, "put off: gone", following)
    again = ScheduledRuns(engine, clock)
    runs.keep()
    again.began("rules", 300.0)
    again.ended("rules", 1.5, None, following)
    again.keep()
    row = run_of(engine, "rules")
    assert (row.run_count, row.failure_count, row.problem) == (3, 1, "put off: gone")
    assert row.problem_at == clock.now
    assert again.last_begun() == {"rules": clock.now}
    again.forget_others(["silence"])
    assert again.last_begun() == {}


def test_a_daily_job_keeps_its_distance_over_a_restart() -> None:
    daily, often = Job("clean-up", DAY_S, lambda: None), Job("rules", 300.0, lambda: None)
    last = {"clean-up": NOON - timedelta(hours=20), "rules": NOON}
    schedule = Schedule([daily, often], NOON, last)
    assert schedule.due(NOON) == [often]
    assert schedule.due(NOON + timedelta(hours=4)) == [daily, often]


def test_a_clock_that_is_set_back_holds_no_job_up() -> None:
    daily, often = Job("clean-up", DAY_S, lambda: None), Job("silence", 2.0, lambda: None)
    schedule = Schedule([daily, often], NOON, {"clean-up": NOON + timedelta(days=9)})
    assert schedule.due(NOON) == [often]
    back = NOON - timedelta(hours=3)
    assert schedule.due(back) == []
    assert schedule.due(back + timedelta(seconds=3)) == [often]
    assert schedule.due(back + timedelta(days=1)) == [daily, often]


def test_a_job_that_fails_tells_its_problem() -> None:
    def fail() -> None:
        raise StoreUnavailable("gone")

    assert perform(Job("rules", 300.0, fail)) == "put off: gone"
    assert perform(Job("rules", 300.0, lambda: None)) is None
