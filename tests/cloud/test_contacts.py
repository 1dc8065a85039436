"""Times of contact and marks of days are written by the thousand, on either database."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.db import beginnings
from hesper_cloud.db.energy import DirtyDay
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Gateway, Meter, MeterProfile
from hesper_cloud.ingest.contacts import Contacts
from hesper_cloud.stores.port import Block, CommittedRows, Quantity
from hesper_cloud.validation import dirty
from sqlalchemy import Engine, event, select
from sqlalchemy.exc import OperationalError
from tables import make_tables

T0 = 1_790_000_100
METERS = ("M1", 'quo"te', "back\\slash", "M4")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'hesper.db'}"
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_database")
        url = make()
    made = open_engine(url)
    make_tables(made)
    yield made
    made.dispose()


def heard(gateway: str, received_at: int, meters: tuple[str, ...] = METERS) -> CommittedRows:
    count = len(meters)
    block = Block(
        profile="1.0.99.1.0.255",
        quantities=(Quantity("1.0.1.8.0.255", 0, 30),),
        meters=meters,
        meter_index=np.arange(count),
        captured_at=np.full(count, received_at),
        clock_status=np.zeros(count, np.int64),
        quality=np.zeros(count, np.int64),
        received_at=received_at,
        values=np.zeros((1, count), np.int64),
        missing=None,
    )
    return CommittedRows(gateway, block, np.ones(count, bool), T0 + 1000)


def contacts_of(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        rows = session.execute(select(Meter.id, Meter.last_contact_at)).all()
    return {meter: int(at.timestamp()) for meter, at in rows if at is not None}


def test_contact_moves_forward_and_never_back(engine: Engine) -> None:
    contacts = Contacts(engine)
    contacts.rows_committed(heard("gw-1", T0 + 60))
    contacts.rows_committed(heard("gw-2", T0 + 90, METERS[:2]))
    contacts.flush(at_once=True)
    later, earlier = T0 + 90, T0 + 60
    assert contacts_of(engine) == dict(zip(METERS, (later, later, earlier, earlier), strict=True))
    contacts.rows_committed(heard("gw-1", T0 + 70))
    contacts.flush(at_once=True)
    between = T0 + 70
    assert contacts_of(engine) == dict(zip(METERS, (later, later, between, between), strict=True))
    with reading(engine) as session:
        seen = session.get_one(Gateway, "gw-2").last_seen_at
    assert seen == datetime.fromtimestamp(T0 + 1000, UTC)


def test_meters_with_a_second_of_their_own_each_take_some_statements_in_all(
    engine: Engine,
) -> None:
    """A few octets may say so, and the registry is held as long as they take."""
    times = {f"M{number}": T0 + number for number in range(900)}
    statements: list[str] = []
    contacts = Contacts(engine)
    event.listen(engine, "before_cursor_execute", lambda *found: statements.append(found[2]))
    for meter, at in times.items():
        contacts.rows_committed(heard("gw-1", at, (meter,)))
    contacts.flush(at_once=True)
    assert len(statements) < 600
    found = contacts_of(engine)
    assert found.keys() == times.keys()
    assert all(times[meter] - 3 <= at <= times[meter] for meter, at in found.items())


def test_a_large_fleet_is_written_in_portions(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hesper_cloud.ingest.contacts.AT_ONCE", 3)
    contacts = Contacts(engine, lambda: 0.0)
    contacts.rows_committed(heard("gw-1", T0 + 60))
    contacts.rows_committed(heard("gw-2", T0 + 70, ("M5", "M6")))
    contacts.flush()
    assert contacts_of(engine) == dict.fromkeys(METERS[:3], T0 + 60)
    contacts.rows_committed(heard("gw-1", T0 + 80, METERS[:1]))
    contacts.flush(at_once=True)
    everyone = dict.fromkeys(METERS, T0 + 60) | {"M5": T0 + 70, "M6": T0 + 70, "M1": T0 + 80}
    assert contacts_of(engine) == everyone


def test_a_large_gateway_that_never_rests_holds_up_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hesper_cloud.ingest.contacts.AT_ONCE", 3)
    monkeypatch.setattr("hesper_cloud.validation.dirty.AT_ONCE", 3)
    contacts = Contacts(engine, itertools.count(0, 1000).__next__)
    marks = dirty.DirtyDays(engine, itertools.count(0, 1000).__next__)
    marks.rows_committed(heard("gw-1", T0 + 60))
    contacts.rows_committed(heard("gw-1", T0 + 60))
    contacts.rows_committed(heard("gw-2", T0 + 70, ("M5",)))
    marks.rows_committed(heard("gw-2", T0 + 86_400, ("M5",)))
    for _ in range(3):
        contacts.flush()
        marks.flush()
        contacts.rows_committed(heard("gw-1", T0 + 80))
        marks.rows_committed(heard("gw-1", T0 + 80))
    assert contacts_of(engine)["M5"] == T0 + 70
    with reading(engine) as session:
        assert "M5" in session.scalars(select(DirtyDay.meter)).all()


def test_a_portion_that_could_not_be_written_comes_once_more_and_goes_back_for_nobody(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hesper_cloud.ingest.contacts.AT_ONCE", 3)
    contacts = Contacts(engine)
    write, failures = contacts._write, [OperationalError("locked", None, OSError())]

    def failing(*args: Any) -> None:
        write(*args)
        contacts.rows_committed(heard("gw-1", T0 + 30))  # late; from before those in hand
        if failures:
            raise failures.pop()

    monkeypatch.setattr(contacts, "_write", failing)
    contacts.rows_committed(heard("gw-1", T0 + 60))
    contacts.flush(at_once=True)
    assert contacts_of(engine) == {}
    monkeypatch.setattr(contacts, "_write", write)
    contacts.flush(at_once=True)
    assert contacts_of(engine) == dict.fromkeys(METERS, T0 + 60)


def test_captures_are_expected_from_earlier_on_and_never_from_later(engine: Engine) -> None:
    for firsts in ({"M1": T0, "M2": T0}, {"M1": T0 - 900, "M2": T0 + 900, "M3": T0 + 900}):
        with writing(engine) as session:
            beginnings.expect(session, "1.0.99.1.0.255", firsts)
    with reading(engine) as session:
        rows = session.execute(select(MeterProfile.meter, MeterProfile.expected_from)).all()
    expected = {"M1": T0 - 900, "M2": T0, "M3": T0 + 900}
    assert {meter: int(at.timestamp()) for meter, at in rows} == expected


def test_marks_of_several_days_are_each_there_once_with_their_last_time(engine: Engine) -> None:
    first, later = (datetime(2026, 6, 1, hour, tzinfo=UTC) for hour in (1, 2))
    days = [(meter, day) for meter in METERS for day in (1, 2)]
    with writing(engine) as session:
        dirty.mark(session, [*days, *days], first)
        dirty.mark(session, [("M1", 2)], later)
    with reading(engine) as session:
        rows = session.execute(select(DirtyDay.meter, DirtyDay.day, DirtyDay.marked_at)).all()
    expected = {(*each, first) for each in days} - {("M1", 2, first)} | {("M1", 2, later)}
    assert len(rows) == len(days)
    assert {tuple(row) for row in rows} == expected


def test_a_time_that_clocks_left_ahead_gives_way_when_they_are_right(engine: Engine) -> None:
    year = 365 * 86_400
    contacts = Contacts(engine)
    contacts.rows_committed(replace(heard("gw-1", T0 + year), stored_at=T0 + year))
    contacts.flush(at_once=True)
    contacts.rows_committed(replace(heard("gw-1", T0), stored_at=T0))
    contacts.flush(at_once=True)
    assert contacts_of(engine) == dict.fromkeys(METERS, T0)
    with reading(engine) as session:
        assert session.get_one(Gateway, "gw-1").last_seen_at == datetime.fromtimestamp(T0, UTC)
