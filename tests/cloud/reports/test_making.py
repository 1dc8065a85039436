"""Reports are made as jobs: what they say, both files, crashes in between."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import LongJob, Meter, Report, ReportSchedule
from hesper_cloud.reports import by_meter, paper
from hesper_cloud.reports.folders import SPOOL, file_of, folder_of
from hesper_cloud.reports.kinds import KINDS
from hesper_cloud.reports.making import Making
from hesper_cloud.reports.paper import Head
from hesper_cloud.reports.schedules import ScheduledReports, days_before, next_at
from hesper_cloud.reports.tables import Column
from hesper_cloud.thresholds import Validation
from sqlalchemy import Engine, select

VIENNA = ZoneInfo("Europe/Vienna")


def test_consumption_is_exact_and_names_whom_it_is_about(house: Any, rows_in: Any) -> None:
    found = rows_in(house.made("consumption"))
    assert found[0][:6] == ["Meter", "Customer", "Account", "Area", "Taken", "Given"]
    taken, given = 4000 * 10 + 6 * 4000, 7 * 10 + 6 * 7
    assert found[1][:7] == ["M-1", "'=Ada", "'=A-1", "North", str(taken), str(given), "Wh"]
    assert found[1][7:] == ["7", "9000", "2026-06-01T00:15+00:00", "UTC"]
    assert found[2] == ["M-2", "", "", "South", *[""] * 6, "UTC"]
    assert [row[0] for row in found[1:]] == ["M-1", "M-2", "M-3"], "what is in stock is left out"


def test_completeness_counts_what_was_owed(house: Any, rows_in: Any) -> None:
    found = rows_in(house.made("completeness", "North"))
    assert found[1:] == [
        ["M-1", "'=Ada", "'=A-1", "North", "672", "665", "99.0", "7", "7", "0", "UTC"]
    ]


def test_a_meter_that_was_exchanged_is_in_the_report_of_its_days(house: Any, rows_in: Any) -> None:
    with writing(house.shelves.registry) as session:
        old = session.get_one(Meter, "M-1")
        old.life, old.gateway_id, old.customer_id, old.customer = "removed", None, None, None
        old.last_contact_at -= timedelta(days=3)
    used = rows_in(house.made("consumption", "North"))
    assert [row[:5] for row in used[1:]] == [["M-1", "", "", "North", "64000"]]
    owed = rows_in(house.made("completeness"))
    assert [row[:1] + row[4:6] for row in owed[1:]] == [
        ["M-1", "672", "665"], ["M-2", "", ""], ["M-3", "", ""],
    ]  # fmt: skip
    assert [row[0] for row in rows_in(house.made("silent-meters"))[1:]] == ["M-2", "M-3"]


def test_silent_meters_say_since_when_and_where_it_stops(house: Any, rows_in: Any) -> None:
    found = rows_in(house.made("silent-meters"))
    assert [row[:1] + row[4:] for row in found[1:]] == [
        ["M-2", "gw-2", "2026-06-07T06:00+00:00", "30", "gateway offline"],
        ["M-3", "gw-1", "never", "", ""],
    ]


def test_service_levels_of_the_days(house: Any, rows_in: Any) -> None:
    found = rows_in(house.made("service-levels"))
    assert found[1:] == [
        ["2026-06-01", "daily-24h", "99.5", "100", "99", "99.00", "no"],
        ["2026-06-02", "daily-24h", "99.5", "100", "97", "97.00", "no"],
    ]


@pytest.mark.parametrize(
    ("report", "area", "zone"),
    [
        ("consumption", None, "Europe/Lisbon"),
        ("consumption", "South", "Atlantic/Azores"),
        ("completeness", None, "Europe/Lisbon"),
        ("service-levels", None, "UTC"),
        ("commands", None, "Asia/Tokyo"),
    ],
)
def test_a_report_names_the_zone_whose_days_it_adds_up(
    house: Any, rows_in: Any, report: str, area: str | None, zone: str
) -> None:
    validation = Validation(zone="Europe/Lisbon", area_zones={"South": "Atlantic/Azores"})
    settings = house.shelves.settings.model_copy(update={"validation": validation})
    house.shelves = replace(house.shelves, settings=settings)
    as_asked = rows_in(house.made("service-levels"))
    made = house.made(report, area, "Asia/Tokyo")
    begins = datetime(2026, 6, 1, tzinfo=ZoneInfo(zone))
    assert (made.zone, made.from_at) == (zone, begins)
    if report == "service-levels":
        assert rows_in(made) == as_asked, "the days are those that were counted"


@pytest.mark.parametrize("kind", ["consumption", "completeness"])
@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Pacific/Honolulu"])
def test_days_are_those_that_were_counted_whatever_zone_is_asked_for(
    house: Any, rows_in: Any, monkeypatch: pytest.MonkeyPatch, kind: str, zone: str
) -> None:
    notes: list[str] = []
    written = paper.write

    def noting(path: Any, head: Head, columns: Any, rows: Any) -> None:
        notes.append(head.note)
        written(path, head, columns, rows)

    monkeypatch.setattr(paper, "write", noting)
    asked = rows_in(house.made(kind, zone=zone))
    assert asked == rows_in(house.made(kind))
    assert (asked[0][-1], {row[-1] for row in asked[1:]}) == ("Zone", {"UTC"})
    assert zone not in notes[0], "it would claim to be of other hours"


def test_commands_of_an_area(house: Any, rows_in: Any) -> None:
    assert len(rows_in(house.made("commands"))) == 3
    found = rows_in(house.made("commands", "South"))
    assert found[1][1:9] == [
        *("relay.disconnect", "M-2", "gw-1", "South", "confirmed", "ann", "ben", "'@unpaid"),
    ]


def test_the_audit_log_is_summed_up(house: Any, rows_in: Any) -> None:
    found = rows_in(house.made("audit"))
    first, last = "2026-06-03T10:00:00+00:00", "2026-06-03T10:01:00+00:00"
    assert found[1:] == [["ann", "command.draft", "2", first, last, "1", "2"]]


@pytest.mark.parametrize("kind", KINDS)
def test_both_files_are_kept_with_their_digests(house: Any, kind: str) -> None:
    report = house.made(kind)
    for form in ("csv", "pdf"):
        octets = file_of(house.state, report.job_id, form).read_bytes()
        assert report.files[form] == {
            "octets": len(octets),
            "sha256": hashlib.sha256(octets).hexdigest(),
        }
    assert octets.startswith(b"%PDF-")
    assert (report.made_by, report.title) == ("ann", KINDS[kind].title)


def test_what_was_told_to_be_made_outlives_a_power_cut(
    house: Any, monkeypatch: pytest.MonkeyPatch, outlives: Callable[[Path], bool]
) -> None:
    monkeypatch.setattr(by_meter, "_AT_ONCE", 1)
    number, runner = house.ask("completeness"), house.runner()
    folder = folder_of(house.state, number)
    assert runner.turn()
    assert outlives(folder)
    assert outlives(folder / SPOOL)
    while runner.turn():
        pass
    assert all(outlives(file_of(house.state, number, form)) for form in ("csv", "pdf"))


def test_paper_goes_on_over_pages_and_makes_the_same_octets_again(tmp_path: Any) -> None:
    columns = (Column("Meter"), Column("Wh", number=True))
    rows = [[f"M-{number} Łódź <b>&", number] for number in range(100)]
    for name in ("one", "two"):
        paper.write(tmp_path / name, Head("Consumption", "of June"), columns, iter(rows))
    octets = (tmp_path / "one").read_bytes()
    assert octets == (tmp_path / "two").read_bytes()
    pages = len(re.findall(rb"/Type /Page\b", octets))
    assert pages == 3
    paper.write(tmp_path / "none", Head("Consumption", "of June"), columns, [])
    assert (tmp_path / "none").read_bytes().startswith(b"%PDF-")


def test_after_a_crash_no_row_is_there_twice(
    house: Any, rows_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_meter, "_AT_ONCE", 1)
    number, making = house.ask("completeness"), Making(house.shelves, house.state)
    runner = house.runner()
    assert runner.turn()
    work = runner._next()
    making.prepare(work)  # appended to the spool, and then the process is killed
    spool = folder_of(house.state, number) / SPOOL
    assert len(spool.read_bytes().splitlines()) == 2
    again = house.runner()
    while again.turn():
        pass
    assert [row[0] for row in rows_in(house.report(number))[1:]] == ["M-1", "M-2", "M-3"]


def test_a_spool_that_is_gone_fails_the_job(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_meter, "_AT_ONCE", 1)
    number, runner = house.ask("completeness"), house.runner()
    runner.turn()
    (folder_of(house.state, number) / SPOOL).unlink()
    runner.turn()
    assert house.job(number).state == "failed"
    assert "ask for the report again" in house.job(number).problem


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("every", "after", "following", "first", "end"),
    [
        ("day", "2026-06-01T03:00Z", "2026-06-01T04:00Z", (5, 31), (6, 1)),
        ("day", "2026-06-01T04:00Z", "2026-06-02T04:00Z", (6, 1), (6, 2)),
        ("day", "2026-03-28T12:00Z", "2026-03-29T04:00Z", (3, 28), (3, 29)),  # summer begins
        ("day", "2026-10-24T12:00Z", "2026-10-25T05:00Z", (10, 24), (10, 25)),  # and ends
        ("week", "2026-06-03T00:00Z", "2026-06-08T04:00Z", (6, 1), (6, 8)),
        ("week", "2026-06-01T03:59Z", "2026-06-01T04:00Z", (5, 25), (6, 1)),
        ("month", "2026-01-31T12:00Z", "2026-02-01T05:00Z", (1, 1), (2, 1)),
        ("month", "2026-12-15T12:00Z", "2027-01-01T05:00Z", (12, 1), (1, 1)),
    ],
)
def test_schedules_go_by_the_calendar_of_their_zone(
    every: Any, after: str, following: str, first: tuple[int, int], end: tuple[int, int]
) -> None:
    found = next_at(every, 6 * 60, VIENNA, at(after))
    assert found.astimezone(UTC) == at(following)
    days = days_before(every, VIENNA, found)
    assert [(day.month, day.day) for day in days] == [first, end]


def weekly(house: Any) -> Engine:
    """Has a report made each week; returns the registry."""
    registry: Engine = house.shelves.registry
    with writing(registry) as session:
        session.add(
            ReportSchedule(
                name="weekly", kind="completeness", every="week", at_minute=360, zone="UTC",
                area="North", enabled=True, next_at=at("2026-06-01T06:00Z"), made_by="ann",
                made_at=at("2026-05-01T06:00Z"),
            )
        )  # fmt: skip
    return registry


def test_a_schedule_asks_once_for_each_period_also_for_those_it_slept_through(house: Any) -> None:
    registry = weekly(house)
    now = at("2026-06-01T05:59Z")
    schedules = ScheduledReports(registry, lambda: now)
    schedules.turn()
    now = at("2026-06-09T00:00Z")
    for _ in range(4):
        schedules.turn()
    with reading(registry) as session:
        asked = [job.parameters for job in session.scalars(select(LongJob))]
        row = session.scalars(select(ReportSchedule)).one()
        assert (row.next_at, row.last_job_id) == (at("2026-06-15T06:00Z"), 2)
    assert [(each["first"], each["end"], each["areas"]) for each in asked] == [
        ("2026-05-25", "2026-06-01", ["North"]),
        ("2026-06-01", "2026-06-08", ["North"]),
    ]
    runner = house.runner()
    while runner.turn():
        pass
    with reading(registry) as session:
        assert [each.area for each in session.scalars(select(Report))] == ["North", "North"]


def test_a_schedule_that_a_clock_ahead_moved_on_goes_by_the_right_one_again(house: Any) -> None:
    registry = weekly(house)
    now = at("2026-08-01T00:00Z")
    schedules = ScheduledReports(registry, lambda: now)
    for _ in range(9):
        schedules.turn()
    now = at("2026-06-02T00:00Z")
    schedules.turn()
    with reading(registry) as session:
        assert session.scalars(select(ReportSchedule)).one().next_at == at("2026-06-08T06:00Z")
    now = at("2026-06-08T06:00Z")
    schedules.turn()
    with reading(registry) as session:
        asked = [job.parameters["first"] for job in session.scalars(select(LongJob))]
    assert asked[-1] == "2026-06-01"
    now = at("2016-06-08T06:00Z")
    schedules.turn()
    with reading(registry) as session:
        assert session.scalars(select(ReportSchedule)).one().next_at == at("2026-06-15T06:00Z")
