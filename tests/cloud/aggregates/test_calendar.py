"""Captures are due by the clock on the wall where it changes by no multiple of the period."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud.aggregates import buckets, calendar


@pytest.mark.parametrize(
    ("zone", "day", "period_h", "due"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 2, [0, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23]),
        ("Europe/Berlin", date(2026, 3, 29), 6, [0, 5, 11, 17, 23]),
        ("Europe/Berlin", date(2026, 3, 29), 24, [0, 23]),
        ("Europe/Berlin", date(2026, 10, 25), 2, [0, 2, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25]),
        ("Europe/Berlin", date(2026, 10, 25), 24, [0, 25]),
        ("Europe/Berlin", date(2026, 6, 1), 6, [0, 6, 12, 18, 24]),
        ("Asia/Beirut", date(2026, 3, 29), 6, [0, 5, 11, 17, 23]),  # no midnight
        ("Australia/Lord_Howe", date(2026, 10, 4), 6, [0, 5.5, 11.5, 17.5, 23.5]),
    ],
)
def test_when_captures_of_a_day_are_due(zone, day, period_h, due):
    found = calendar.captures(day, ZoneInfo(zone), period_h * 3600)
    assert ((found - found[0]) / 3600).tolist() == due
    assert found[-1] == calendar.day_end(day, ZoneInfo(zone))


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60])
def test_every_period_of_a_day_is_as_long_where_the_clock_changes_by_a_multiple(minutes):
    found = calendar.captures(date(2026, 3, 29), ZoneInfo("Europe/Berlin"), minutes * 60)
    assert len(found) == 23 * 60 // minutes + 1
    assert set(found[1:] - found[:-1]) == {minutes * 60}


@pytest.mark.parametrize(
    ("day", "step_s", "hours"),
    [
        (date(2026, 4, 5), 1800, ["00:00 60", "01:00 60", "01:30 30", "02:00 60"]),
        (date(2026, 10, 4), 1800, ["00:00 60", "01:00 60", "02:30 30", "03:00 60"]),
        (date(2026, 4, 5), 3600, ["00:00 60", "01:00 90", "02:00 60", "03:00 60"]),
        (date(2026, 10, 4), 3600, ["00:00 60", "01:00 90", "03:00 60", "04:00 60"]),
    ],
)
def test_hours_are_those_of_the_clock_on_the_wall_where_it_changes_by_half_of_one(
    day, step_s, hours
):
    zone = ZoneInfo("Australia/Lord_Howe")
    count = len(calendar.captures(day, zone, step_s)) - 1
    parts = ([1] * count, [2] * count, [0] * count)
    row = (day, calendar.midnight(day, zone), step_s, *parts, 0, 30)
    found = buckets.added_up([row], "hour", zone)
    told = [f"{datetime.fromtimestamp(each.starts_at, zone):%H:%M}" for each in found]
    lengths = [(each.ends_at - each.starts_at) // 60 for each in found]
    assert [f"{at} {length}" for at, length in zip(told, lengths, strict=True)][:4] == hours
    assert (told[-1], lengths[-1]) == ("23:00", 60)
    assert found[-1].ends_at == calendar.day_end(day, zone)
    assert [each.ends_at for each in found[:-1]] == [each.starts_at for each in found[1:]]
    assert sum(each.sum for each in found) == count


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", date(2026, 3, 29)),
        ("Europe/Berlin", date(2026, 10, 25)),
        ("Pacific/Chatham", date(2026, 4, 5)),
        ("Pacific/Chatham", date(2026, 9, 27)),
        ("Asia/Kolkata", date(2026, 4, 5)),
    ],
)
def test_hours_follow_each_other_through_a_day_whatever_the_clock_does(zone, day):
    zone = ZoneInfo(zone)
    start, end = calendar.midnight(day, zone), calendar.day_end(day, zone)
    count = (end - start) // 1800
    row = (day, start, 1800, [1] * count, [2] * count, [0] * count, 0, 30)
    found = buckets.added_up([row], "hour", zone)
    assert [each.starts_at for each in found] == list(range(start, end, 3600))
    assert [each.ends_at for each in found] == [*range(start + 3600, end, 3600), end]
