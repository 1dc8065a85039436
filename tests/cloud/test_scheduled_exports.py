"""Scheduled exports: window after window without a hole, tried again when they fail."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from archived import archived_until
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import ExportRun
from hesper_cloud.exports.scheduled import ScheduledExports, runs
from hesper_cloud.job_settings import ScheduledExport
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import select

START = datetime(2026, 6, 2, 7, tzinfo=UTC)


class Scheduled:
    """One daily export into a folder."""

    def __init__(self, head_end: Any, folder: Path) -> None:
        self.registry, self.clock, self.target = head_end.databases.registry, head_end.clock, folder
        self.store = DuckDbStore(folder.parent / "readings.duckdb")
        self.wanted = ScheduledExport(
            name="daily", format="csv", target=str(folder), delay_hours=6, tries=3, retry_s=100
        )
        self.clock.now = START
        self.alarms: list[str | None] = []
        self.start()

    def start(self) -> None:
        """As after a restart of the head end."""
        self.exports = ScheduledExports(
            self.registry, self.store, (self.wanted,), self.clock,
            lambda name, reason: self.alarms.append(reason),
        )  # fmt: skip

    def turn(self, **later: float) -> list[tuple[str, str, int]]:
        self.clock.now += timedelta(**later)
        self.exports.turn()
        with reading(self.registry) as session:
            found = session.scalars(select(ExportRun).order_by(ExportRun.id))
            return [(f"{run.from_at:%d}", run.state, run.tries) for run in found]


@pytest.fixture
def scheduled(head_end: Any, tmp_path: Path) -> Iterator[Scheduled]:
    made = Scheduled(head_end, tmp_path / "out")
    yield made
    made.store.close()


def test_windows_follow_each_other(scheduled: Scheduled) -> None:
    assert scheduled.turn() == [("01", "done", 1)]
    assert scheduled.turn(hours=22) == [("01", "done", 1)], "the delay has not passed"
    assert scheduled.turn(hours=1)[1:] == [("02", "done", 1)]
    assert scheduled.turn(days=2)[2:] == [("03", "done", 1)]
    assert scheduled.turn(minutes=1)[3:] == [("04", "done", 1)], "what was missed is caught up"
    assert len(list(scheduled.target.iterdir())) == 4


def test_a_failure_is_tried_again_and_left_behind_until_it_is_out(scheduled: Scheduled) -> None:
    scheduled.target.write_text("in the way")
    assert scheduled.turn() == [("01", "failed", 1)]
    assert scheduled.turn(seconds=99) == [("01", "failed", 1)]
    assert scheduled.turn(seconds=2) == [("01", "failed", 2)]
    assert scheduled.turn(seconds=199) == [("01", "failed", 2)]
    assert scheduled.turn(seconds=2) == [("01", "failed", 3)]
    assert "out" in str(scheduled.alarms[-1])
    assert scheduled.turn(seconds=399) == [("01", "failed", 3)]
    scheduled.clock.now = START + timedelta(days=1)
    assert scheduled.turn() == [("01", "failed", 3), ("02", "failed", 1)], "the next one"
    scheduled.target.unlink()
    assert scheduled.turn(seconds=101) == [("01", "failed", 3), ("02", "done", 2)]
    assert "2026-06-01 00:00 to 2026-06-02 00:00" in str(scheduled.alarms[-1])
    assert scheduled.turn(minutes=1) == [("01", "done", 4), ("02", "done", 2)]
    assert scheduled.alarms[-1] is None
    assert len(list(scheduled.target.iterdir())) == 2


def test_a_window_that_was_left_behind_and_cut_off_is_made_again(scheduled: Scheduled) -> None:
    for _ in range(2):
        scheduled.turn(days=1)
    with writing(scheduled.registry) as session:
        query = select(ExportRun).order_by(ExportRun.to_at).limit(1)
        session.scalars(query).one().state = "running"  # as SIGKILL leaves it
    assert scheduled.turn(minutes=1) == [("02", "done", 2), ("03", "done", 1)]


def test_a_window_whose_readings_are_archived_is_not_given_in_part(scheduled: Scheduled) -> None:
    archived_until(scheduled.registry, date(2026, 6, 3))
    assert scheduled.turn() == [("01", "failed", 1)]
    assert "before 2026-06-03 are in the archive" in str(scheduled.alarms[-1])


def test_a_run_that_was_cut_off_is_made_again(scheduled: Scheduled) -> None:
    assert scheduled.turn() == [("01", "done", 1)]
    with writing(scheduled.registry) as session:
        session.scalars(select(ExportRun)).one().state = "running"  # as SIGKILL leaves it
    scheduled.start()
    assert scheduled.turn() == [("01", "done", 2)]
    (run,) = runs(scheduled.registry, 10)
    assert run.reason is None


def test_windows_of_a_clock_that_was_ahead_are_exported_again_in_their_time(
    scheduled: Scheduled,
) -> None:
    year = timedelta(days=365)
    assert scheduled.turn() == [("01", "done", 1)]
    scheduled.clock.now += year
    assert scheduled.turn()[1:] == [("02", "done", 1)]
    assert scheduled.turn(minutes=1)[2:] == [("03", "done", 1)]
    scheduled.clock.now -= year
    assert scheduled.turn() == [("01", "done", 1)]
    assert scheduled.turn(days=1)[1:] == [("02", "done", 1)]


def test_a_clock_that_is_behind_forgets_no_window(scheduled: Scheduled) -> None:
    scheduled.turn()
    assert scheduled.turn(days=-3650) == [("01", "done", 1)]


def test_a_window_that_failed_while_the_clock_was_ahead_waits_no_year(scheduled: Scheduled) -> None:
    scheduled.target.write_text("in the way")
    scheduled.clock.now += timedelta(days=365)
    wrong = scheduled.turn()
    assert [state for _, state, _ in wrong] == ["failed"]
    with writing(scheduled.registry) as session:
        run = session.scalars(select(ExportRun)).one()
        run.from_at, run.to_at = START - timedelta(days=2), START - timedelta(days=1)
    scheduled.target.unlink()
    scheduled.clock.now = START
    assert [state for _, state, _ in scheduled.turn()] == ["done"]
