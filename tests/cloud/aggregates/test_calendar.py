"""Captures are due by the clock on the wall where it changes by no multiple of the period."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hesper_cloud.aggregates import calendar


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
