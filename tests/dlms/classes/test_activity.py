"""Which tariff script an activity calendar has in force, seasons, weeks and special days."""

from datetime import date, datetime

import pytest
from hesper_dlms.classes.activity import Calendar
from hesper_dlms.classes.recurrence import DaylightSavingDays
from hesper_dlms.classes.scheduling import (
    ActivityCalendar,
    DayAction,
    DayProfile,
    SeasonProfile,
    SpecialDay,
    WeekProfile,
)
from hesper_dlms.cosem_time import CosemDate, CosemDateTime, CosemTime

TARIFFS = bytes((0, 0, 10, 0, 100, 255))


def action(hour: int, script: int, minute: int = 0) -> DayAction:
    return DayAction(CosemTime(hour, minute, 0, 0), TARIFFS, script)


def season(name: bytes, start: str, week: bytes) -> SeasonProfile:
    return SeasonProfile(name, CosemDateTime.from_octets(bytes.fromhex(start)), week)


WORKDAY = DayProfile(1, (action(6, 1), action(22, 2)))
WEEKEND = DayProfile(2, (action(0, 2),))
SUMMER_DAY = DayProfile(3, (action(8, 1), action(20, 2), action(9, 4, 30)))
CALENDAR = ActivityCalendar(
    bytes((0, 0, 13, 0, 0, 255)),
    b"2026",
    (
        season(b"winter", "ffff0a01ff000000ff800000", b"w"),
        season(b"summer", "ffff0401ff000000ff800000", b"s"),
    ),
    (WeekProfile(b"w", 1, 1, 1, 1, 1, 2, 2), WeekProfile(b"s", 3, 3, 3, 3, 3, 2, 2)),
    (WORKDAY, WEEKEND, SUMMER_DAY),
)
CHRISTMAS = SpecialDay(1, CosemDate(None, 12, 25, None), 2)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "script"),
    [
        ("2026-11-23T05:59", 2),  # Monday morning: what Sunday ended with
        ("2026-11-23T06:00", 1),
        ("2026-11-23T22:30", 2),
        ("2026-11-21T12:00", 2),  # Saturday
        ("2026-12-25T12:00", 2),  # a Friday, but special
        ("2026-12-24T12:00", 1),
        ("2026-03-31T07:00", 1),
        ("2026-04-01T07:00", 2),  # summer has begun; Tuesday's night tariff goes on
        ("2026-04-01T09:29", 1),
        ("2026-04-01T09:30", 4),
        ("2027-01-04T07:00", 1),  # winter of the year before
    ],
)
def test_the_action_in_force(moment: str, script: int) -> None:
    found = Calendar.active(CALENDAR, [CHRISTMAS]).action_at(at(moment))
    assert found is not None
    assert found.script_selector == script


@pytest.mark.parametrize(
    ("after", "when", "script"),
    [
        ("2026-11-23T06:00", "2026-11-23T22:00", 2),
        ("2026-11-20T22:00", "2026-11-21T00:00", 2),
        ("2026-12-24T22:00", "2026-12-25T00:00", 2),
        ("2026-03-31T22:00", "2026-04-01T08:00", 1),
    ],
)
def test_the_next_action(after: str, when: str, script: int) -> None:
    found = Calendar.active(CALENDAR, [CHRISTMAS]).next_action(at(after))
    assert found is not None
    assert (found[0], found[1].script_selector) == (at(when), script)


def test_a_calendar_with_gaps_says_none() -> None:
    calendar = Calendar.active(CALENDAR._replace(season_profile_active=()))
    assert calendar.day_id(date(2026, 11, 23)) is None
    assert calendar.action_at(at("2026-11-23T12:00")) is None
    assert calendar.next_action(at("2026-11-23T12:00")) is None
    assert Calendar.active(ActivityCalendar(bytes(6))).season(date(2026, 1, 1)) is None
    first = Calendar.active(CALENDAR).action_at(at("0001-01-01"))
    assert first is None or first.script_selector == 2
    assert Calendar.active(CALENDAR).next_action(at("9999-12-31T23:59:59")) is None


def test_seasons_of_one_year_and_of_the_change_of_the_clocks() -> None:
    saving = DaylightSavingDays(CosemDate(None, 3, 0xFE, 7), CosemDate(None, 10, 0xFE, 7))
    seasons = (
        season(b"summer", "fffffeffff000000ff800000", b"s"),
        season(b"winter", "fffffdffff000000ff800000", b"w"),
    )
    calendar = Calendar.active(CALENDAR._replace(season_profile_active=seasons), (), saving)
    assert calendar.season(date(2026, 3, 28)) == seasons[1]
    assert calendar.season(date(2026, 3, 29)) == seasons[0]
    once = (season(b"once", "07e70401ff000000ff800000", b"s"),)
    calendar = Calendar.active(CALENDAR._replace(season_profile_active=once))
    assert calendar.season(date(2023, 3, 31)) is None
    assert calendar.season(date(2026, 1, 1)) == once[0]


def test_a_time_that_is_none_is_passed_over() -> None:
    days = (WORKDAY._replace(day_schedule=(action(24, 9), action(6, 1))), WEEKEND)
    calendar = Calendar.active(CALENDAR._replace(day_profile_table_active=days))
    found = calendar.action_at(at("2026-11-23T23:00"))
    assert found is not None
    assert found.script_selector == 1
