"""Marks of days: new rows alone, once per day and meter, and not lost by a failed write."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hesper_cloud.db.energy import DirtyDay
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.ingest.aftermath import Aftermath, Commit
from hesper_cloud.stores.port import Block, CommittedRows, Group, Quantity, Written
from hesper_cloud.validation import dirty
from hesper_cloud.validation.dirty import DirtyDays
from sqlalchemy import Engine, select, text
from tables import make_tables

DAY = 86_400


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'test.db'}")
    make_tables(made)
    yield made
    made.dispose()


def committed(
    times: list[int], meters: list[int], accepted: list[bool], profile: str = "1.0.99.1.0.255"
) -> CommittedRows:
    count = len(times)
    block = Block(
        profile=profile,
        quantities=(Quantity("1.0.1.8.0.255", 0, 30),),
        meters=("A", "B", "C"),
        meter_index=np.array(meters),
        captured_at=np.array(times),
        clock_status=np.zeros(count, np.int64),
        quality=np.zeros(count, np.int64),
        received_at=0,
        values=np.zeros((1, count), np.int64),
        missing=None,
    )
    return CommittedRows("gw-1", block, np.array(accepted), 0)


def marked(engine: Engine) -> set[tuple[str, int]]:
    with reading(engine) as session:
        return {(row.meter, row.day) for row in session.scalars(select(DirtyDay))}


@pytest.mark.parametrize("conflicting", [0, 1])
def test_the_days_of_rows_that_came_again_are_marked_where_values_differed(engine, conflicting):
    days = DirtyDays(engine)
    rows = committed([0, DAY], [0, 1], [False, False])
    aftermath = Aftermath([], [days])
    written = Written(0, 2 - conflicting, conflicting, (rows.accepted,))
    aftermath.add(Commit(["gw-1"], Group({}, [rows.block], 0), written, []))
    aftermath.tell()
    days.flush(at_once=True)
    assert marked(engine) == ({("A", 0), ("B", 1)} if conflicting else set())


def test_the_days_of_new_rows_are_marked(engine):
    days = DirtyDays(engine)
    days.rows_committed(committed([0, DAY, DAY, DAY], [0, 0, 1, 2], [True, True, True, False]))
    days.rows_committed(committed([5 * DAY], [0], [False]))
    days.rows_committed(committed([5 * DAY], [0], [True], profile="0.0.21.0.1.255"))
    days.flush(at_once=True)
    assert marked(engine) == {("A", 0), ("A", 1), ("B", 1)}


def test_a_block_of_one_day_marks_all_its_meters(engine):
    days = DirtyDays(engine)
    days.rows_committed(committed([900, 900, 900], [0, 1, 2], [True, True, True]))
    days.flush(at_once=True)
    assert marked(engine) == {("A", 0), ("B", 0), ("C", 0)}


def test_flushes_wait_and_a_failed_one_is_made_up_for(engine):
    now = [100.0]
    days = DirtyDays(engine, lambda: now[0])
    days.rows_committed(committed([0, 0], [0, 1], [True, False]))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE dirty_days RENAME TO away"))
    days.flush()
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO dirty_days"))
    now[0] += dirty.EVERY_S / 2
    days.flush()
    assert marked(engine) == set()
    now[0] += dirty.EVERY_S
    days.flush()
    assert marked(engine) == {("A", 0)}


def test_what_takes_long_to_write_is_written_seldom(engine):
    seconds = iter((0.0, 0.0, 1.0, 49.0, 50.0, 51.0))  # made, begun, ended; begun; begun, ended
    days = DirtyDays(engine, lambda: next(seconds))
    days.rows_committed(committed([0, 0], [0, 1], [True, False]))
    days.flush()
    days.rows_committed(committed([0, 0], [0, 1], [False, True]))
    days.flush()
    assert marked(engine) == {("A", 0)}
    days.flush()
    assert marked(engine) == {("A", 0), ("B", 0)}


def test_a_mark_that_came_again_is_not_settled(engine):
    first, later = (datetime(2026, 6, 1, hour, tzinfo=UTC) for hour in (1, 2))
    with writing(engine) as session:
        dirty.mark(session, [("A", 1), ("B", 1), ("A", 1)], first)
    taken = dirty.taken(engine, 10)
    with writing(engine) as session:
        dirty.mark(session, [("A", 1)], later)
        dirty.settled(session, taken)
    assert marked(engine) == {("A", 1)}
