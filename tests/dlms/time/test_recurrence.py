"""Dates with open fields: the examples of the Blue Book, and the calendar as a witness."""

from calendar import monthrange
from datetime import date, datetime, timedelta

import pytest
from hesper_dlms.classes.recurrence import (
    DaylightSavingDays,
    last_date,
    matches,
    next_date,
    next_occurrence,
)
from hesper_dlms.cosem_time import CosemDate, CosemDateTime, CosemTime
from hesper_dlms.errors import DecodeError, LocalError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

MOMENTS = st.datetimes(*map(datetime.fromisoformat, ("1990-01-01", "2090-01-01")))
PATTERNS = st.builds(
    lambda year, month, day, weekday: CosemDate(year, month, day, weekday).to_octets(),
    st.none() | st.integers(1948, 2092),
    st.none() | st.integers(0, 13),
    st.none() | st.sampled_from([0, 1, 8, 15, 28, 29, 30, 31, 32, 0xFD, 0xFE]),
    st.none() | st.integers(0, 8),
)
DATES = st.dates(date(1995, 1, 1), date(2090, 12, 31))


def pattern(octets: str) -> CosemDate:
    return CosemDate.from_octets(bytes.fromhex(octets))


def moment(octets: str) -> CosemDateTime:
    return CosemDateTime.from_octets(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "start", "found"),
    [
        ("ffff03feff", "2026-02-01", "2026-03-31"),  # last day of March
        ("ffff02feff", "2024-01-01", "2024-02-29"),
        ("ffff02fdff", "2025-01-01", "2025-02-27"),  # second last day of February
        ("ffff03fe07", "2026-01-01", "2026-03-29"),  # last Sunday of March
        ("ffff0afe07", "2026-01-01", "2026-10-25"),
        ("ffff0afd07", "2026-01-01", "2026-10-18"),  # last Sunday but one
        ("ffff030807", "2026-01-01", "2026-03-08"),  # Sunday on or after 8 March
        ("ffff030807", "2026-03-09", "2027-03-14"),
        ("ffff0b0107", "2026-01-01", "2026-11-01"),
        ("ffff031e07", "2026-01-01", "2026-04-05"),  # on or after 30 March: in April
        ("ffffff01ff", "2026-01-02", "2026-02-01"),  # first of every month
        ("ffffffff01", "2026-11-21", "2026-11-23"),  # every Monday
        ("ffff0c19ff", "2026-12-26", "2027-12-25"),  # Christmas
        ("ffff021dff", "2026-01-01", "2028-02-29"),  # leap day
        ("07ea0519ff", "2026-01-01", "2026-05-25"),
        ("07ea051901", "2026-01-01", "2026-05-25"),  # a Monday indeed
        ("07ea03fe07", "2026-01-01", "2026-03-29"),
        ("07eaffffff", "2025-05-05", "2026-01-01"),
        ("ffffffffff", "2026-11-21", "2026-11-21"),
    ],
)
def test_the_next_date(octets: str, start: str, found: str) -> None:
    day = next_date(pattern(octets), date.fromisoformat(start))
    assert day == date.fromisoformat(found)
    assert matches(pattern(octets), day)


@pytest.mark.parametrize(
    ("octets", "start"),
    [
        ("07ea051902", "2026-01-01"),  # 25 May 2026 is no Tuesday
        ("07ea0519ff", "2026-05-26"),  # past
        ("ffff021eff", "2026-01-01"),  # 30 February
        ("ffff0dffff", "2026-01-01"),  # month 13
        ("ffffff20ff", "2026-01-01"),  # day 32
        ("ffffffff08", "2026-01-01"),  # weekday 8
        ("0000ffffff", "2026-01-01"),
        ("fffeffffff", "2026-01-01"),
        ("fffffeffff", "2026-01-01"),  # daylight saving begins, but when?
    ],
)
def test_dates_that_never_are(octets: str, start: str) -> None:
    assert next_date(pattern(octets), date.fromisoformat(start)) is None


def test_months_that_mean_the_change_of_the_clocks() -> None:
    saving = DaylightSavingDays(pattern("ffff03fe07"), pattern("ffff0afe07"))
    begins, ends = pattern("fffffeffff"), pattern("fffffdffff")
    assert next_date(begins, date(2026, 1, 1), saving) == date(2026, 3, 29)
    assert next_date(ends, date(2026, 1, 1), saving) == date(2026, 10, 25)
    assert last_date(begins, date(2026, 3, 28), saving) == date(2025, 3, 30)
    assert last_date(pattern("07eafeffff"), date(2026, 12, 31), saving) == date(2026, 3, 29)
    assert last_date(pattern("07e9feffff"), date(2026, 12, 31), saving) is None
    assert last_date(begins, date(2026, 1, 1)) is None
    circular = DaylightSavingDays(begins, ends)
    assert next_date(begins, date(2026, 1, 1), circular) is None


@given(DATES, st.integers(1, 12), st.integers(1, 7), st.booleans())
def test_the_last_weekday_of_a_month(start: date, month: int, weekday: int, second: bool) -> None:
    last = CosemDate(None, month, 0xFD if second else 0xFE, weekday)
    day = next_date(last, start)
    assert day is not None
    assert (day.month, day.isoweekday()) == (month, weekday)
    left = monthrange(day.year, month)[1] - day.day
    assert left // 7 == (1 if second else 0)
    assert day - start < timedelta(days=2 * 366)


@given(DATES, st.binary(min_size=5, max_size=5))
def test_any_date_ends(start: date, octets: bytes) -> None:
    found = next_date(CosemDate.from_octets(octets), start)
    assert found is None or (found >= start and matches(CosemDate.from_octets(octets), found))


@settings(max_examples=300, deadline=None)
@given(st.dates(date(1950, 1, 1), date(2090, 12, 31)), PATTERNS)
def test_the_last_date_is_the_one_that_no_later_day_matches(day: date, octets: bytes) -> None:
    pattern = CosemDate.from_octets(octets)
    assume(pattern.year is None or pattern.year > day.year - 8)
    back = (day - timedelta(days=days) for days in range(366 * 8))
    expected = next((each for each in back if matches(pattern, each)), None)
    assert last_date(pattern, day) == expected


@given(DATES, DATES)
def test_a_date_in_full_is_that_date(start: date, wanted: date) -> None:
    full = CosemDate(wanted.year, wanted.month, wanted.day, wanted.isoweekday())
    assert next_date(full, start) == (wanted if wanted >= start else None)


@pytest.mark.parametrize(
    ("octets", "after", "found"),
    [
        ("ffff03fe07020000ff800000", "2026-03-29T01:59:59", "2026-03-29T02:00:00"),
        ("ffff03fe07020000ff800000", "2026-03-29T02:00:00", "2027-03-28T02:00:00"),
        ("ffffffffffff0f00ff800000", "2026-03-29T02:15:00", "2026-03-29T03:15:00"),  # hourly
        ("ffffffffffffff00ff800000", "2026-03-29T02:15:30", "2026-03-29T02:16:00"),
        ("ffffffff01060000ff800000", "2026-11-23T06:00:01", "2026-11-30T06:00:00"),
        ("07ea0c1fff173b3b63800000", "2026-01-01T00:00:00", "2026-12-31T23:59:59.990000"),
    ],
)
def test_the_next_occurrence(octets: str, after: str, found: str) -> None:
    assert next_occurrence(moment(octets), datetime.fromisoformat(after)) == (
        datetime.fromisoformat(found)
    )


def test_occurrences_that_never_are() -> None:
    past = moment("07ea0c1fff173b3b63800000")
    assert next_occurrence(past, datetime.fromisoformat("2027-01-01T00:00:00")) is None
    with pytest.raises(DecodeError, match="no time of day"):
        next_occurrence(moment("ffffffffff180000ff800000"), datetime.fromisoformat("2026-01-01"))


@given(MOMENTS, st.binary(min_size=12, max_size=12))
def test_any_pattern_ends(after: datetime, octets: bytes) -> None:
    try:
        found = next_occurrence(CosemDateTime.from_octets(octets), after)
    except DecodeError:
        return
    assert found is None or found > after


@given(st.binary(min_size=5, max_size=5), st.binary(min_size=4, max_size=4))
def test_dates_and_times_come_back(day: bytes, time: bytes) -> None:
    assert CosemDate.from_octets(day).to_octets() == day
    assert CosemTime.from_octets(time).to_octets() == time


def test_dates_and_times_of_a_wrong_length_or_range() -> None:
    for type_ in (CosemDate, CosemTime):
        with pytest.raises(DecodeError):
            type_.from_octets(b"\x07")
    with pytest.raises(LocalError):
        CosemDate(70000).to_octets()
    with pytest.raises(LocalError):
        CosemTime(256).to_octets()
