"""What dates and times with open fields stand for (Blue Book part 2, clause 4.1.6.1).

Day of month and weekday are read together:

    day FE, no weekday       the last day of the month (FD: the one before)
    day FE, weekday          the last such weekday of the month (FD: the last but one)
    day n, weekday, no year  that weekday on or after day n: a date that repeats every year
    day n, weekday, year     they must agree, or the date is never
    weekday alone            every such weekday

The months FE and FD are the days on which daylight saving begins and ends, which the clock object
(or the zone) knows. Other open fields mean every value. What such a pattern names is a local date
and time; `hesper_dlms.classes.clock_zone` makes an instant of it.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hesper_dlms.cosem_time import (
    DAYLIGHT_SAVING_BEGIN,
    DAYLIGHT_SAVING_END,
    LAST_DAY,
    SECOND_LAST_DAY,
    CosemDate,
    CosemDateTime,
    CosemTime,
)
from hesper_dlms.errors import DecodeError

_WEEK = 7
_LONGEST_MONTH = 31
_LONGEST_YEAR = 366
_YEARS_AHEAD = 41
"""Leap days and weekdays repeat within 40 years where no century lies between."""


class DaylightSavingDays(NamedTuple):
    """The dates on which daylight saving begins and ends, each a pattern of its own."""

    begin: CosemDate
    end: CosemDate


def date_of(pattern: CosemDate | CosemDateTime) -> CosemDate:
    """Return the date part of a pattern."""
    return CosemDate(pattern.year, pattern.month, pattern.day, pattern.weekday)


def time_of(pattern: CosemDateTime) -> CosemTime:
    """Return the time part of a pattern."""
    return CosemTime(pattern.hour, pattern.minute, pattern.second, pattern.hundredths)


def matches(
    pattern: CosemDate | CosemDateTime, day: date, saving: DaylightSavingDays | None = None
) -> bool:
    """Return whether a pattern stands for a local date, its time of day aside.

    Args:
        pattern: The date, open where it repeats.
        day: The local date.
        saving: What the months FE and FD refer to; without it they match no day.
    """
    if pattern.year not in (None, day.year):
        return False
    if pattern.month in (DAYLIGHT_SAVING_BEGIN, DAYLIGHT_SAVING_END):
        return saving is not None and matches(
            saving.begin if pattern.month == DAYLIGHT_SAVING_BEGIN else saving.end, day
        )
    if pattern.day is not None and pattern.weekday is not None and pattern.year is None:
        return any(_anchored(pattern, *anchor) == day for anchor in _anchors(pattern, day))
    if pattern.month not in (None, day.month) or pattern.weekday not in (None, day.isoweekday()):
        return False
    return pattern.day is None or _counted(pattern.day, pattern.weekday, day)


def _anchors(pattern: CosemDate | CosemDateTime, day: date) -> Iterator[tuple[int, int]]:
    """Yield the months whose anchor day may lead to `day`: its own and the one before."""
    for month_start in (day.replace(day=1), _month_before(day)):
        if pattern.month in (None, month_start.month):
            yield month_start.year, month_start.month


def _month_before(day: date) -> date:
    first = day.replace(day=1)
    return first if first == date.min else (first - timedelta(days=1)).replace(day=1)


def _anchored(pattern: CosemDate | CosemDateTime, year: int, month: int) -> date | None:
    """Return the weekday on or after the day of a month, or the last ones of it."""
    day, weekday = pattern.day or 0, pattern.weekday or 0
    length = calendar.monthrange(year, month)[1]
    if day in (LAST_DAY, SECOND_LAST_DAY):
        last = date(year, month, length)
        back = (last.isoweekday() - weekday) % _WEEK + (_WEEK if day == SECOND_LAST_DAY else 0)
        return last - timedelta(days=back)
    if not 1 <= day <= length or not 1 <= weekday <= _WEEK:
        return None
    first = date(year, month, day)
    try:
        return first + timedelta(days=(weekday - first.isoweekday()) % _WEEK)
    except OverflowError:
        return None


def _counted(day: int, weekday: int | None, found: date) -> bool:
    """Return whether a day of the month, counted from its end where it says so, is `found`."""
    left = calendar.monthrange(found.year, found.month)[1] - found.day
    if day not in (LAST_DAY, SECOND_LAST_DAY):
        return day == found.day
    step = 1 if weekday is None else _WEEK
    place = 0 if day == LAST_DAY else step
    return place <= left < place + step


def next_date(
    pattern: CosemDate | CosemDateTime, start: date, saving: DaylightSavingDays | None = None
) -> date | None:
    """Return the first local date from `start` on that a pattern stands for.

    None when there is none within 41 years (a date in the past, or one that never is).
    """
    if pattern.year is not None and pattern.year > start.year:
        try:
            start = date(pattern.year, 1, 1)
        except ValueError:
            return None
    last_year = min((pattern.year or start.year + _YEARS_AHEAD), date.max.year)
    day = start
    while day.year <= last_year:
        if matches(pattern, day, saving):
            return day
        try:
            day = _next_candidate(pattern, day)
        except OverflowError:
            return None
    return None


def _next_candidate(pattern: CosemDate | CosemDateTime, day: date) -> date:
    """Return the next day worth a look: months that cannot match are passed over."""
    following = day + timedelta(days=1)
    month = pattern.month
    near = month in (
        None,
        following.month,
        following.month % 12 + 1,
        (following.month - 2) % 12 + 1,
    )
    if near or month is None or not 1 <= month <= 12:
        return following
    return (following.replace(day=1) + timedelta(days=32)).replace(day=1)


def last_date(
    pattern: CosemDate | CosemDateTime, day: date, saving: DaylightSavingDays | None = None
) -> date | None:
    """Return the last local date up to `day` that a pattern stands for.

    None when there is none within eight years (or in the pattern's own year).
    """
    if pattern.month in (DAYLIGHT_SAVING_BEGIN, DAYLIGHT_SAVING_END):
        if saving is None:
            return None
        begins = pattern.month == DAYLIGHT_SAVING_BEGIN
        changed = last_date(saving.begin if begins else saving.end, day)
        return changed if pattern.year is None or changed is None else _of_year(pattern, changed)
    for start in _starts_of_search(pattern, day):
        for back in range(_days_back(pattern)):
            if start.toordinal() <= back:
                return None
            if matches(pattern, start - timedelta(days=back)):
                return start - timedelta(days=back)
    return None


def _days_back(pattern: CosemDate | CosemDateTime) -> int:
    """Return how far the last such day may lie before a start of the search."""
    if pattern.month is not None:
        return _LONGEST_MONTH + _WEEK
    return 2 * _LONGEST_MONTH + _WEEK if pattern.year is None else _LONGEST_YEAR


def _of_year(pattern: CosemDate | CosemDateTime, day: date) -> date | None:
    return day if pattern.year == day.year else None


def _starts_of_search(pattern: CosemDate | CosemDateTime, day: date) -> Iterator[date]:
    """Yield the days to look back from: the ends of the pattern's month in the years before."""
    month = pattern.month
    if pattern.year is not None and not 1 <= pattern.year <= day.year:
        return
    if month is None:
        yield day if pattern.year in (None, day.year) else date(pattern.year or 1, 12, 31)
    elif 1 <= month <= 12:
        years = (
            range(day.year, max(day.year - 9, 0), -1) if pattern.year is None else [pattern.year]
        )
        for year in years:
            last = date(year, month, calendar.monthrange(year, month)[1])
            spilled = last.toordinal() + (_WEEK if pattern.year is None else 0)
            yield min(day, date.fromordinal(min(spilled, date.max.toordinal())))


def next_occurrence(
    pattern: CosemDateTime, after: datetime, saving: DaylightSavingDays | None = None
) -> datetime | None:
    """Return the first local date and time later than `after` that a pattern stands for.

    Open times repeat: an open hour is every hour, an open minute every minute; an open second and
    open hundredths are 0.

    Args:
        pattern: The date and time.
        after: Local and naive, as the meter's clock shows it.
        saving: What the months FE and FD refer to.

    Raises:
        DecodeError: The time of day is out of range.
    """
    time = time_of(pattern)
    _check_time(time)
    day = next_date(pattern, after.date(), saving)
    while day is not None:
        moment = _first_after(time, day, after)
        if moment is not None:
            return moment
        if day == date.max:
            return None
        day = next_date(pattern, day + timedelta(days=1), saving)
    return None


def _check_time(time: CosemTime) -> None:
    limits = ((time.hour, 23), (time.minute, 59), (time.second, 59), (time.hundredths, 99))
    if any(field is not None and field > limit for field, limit in limits):
        raise DecodeError(f"{time} is no time of day")


def _first_after(time: CosemTime, day: date, after: datetime) -> datetime | None:
    """Return the first time of a day that a pattern stands for and that is later than `after`."""
    second, micro = time.second or 0, (time.hundredths or 0) * 10_000
    for hour in range(24) if time.hour is None else (time.hour,):
        for minute in range(60) if time.minute is None else (time.minute,):
            moment = datetime(day.year, day.month, day.day, hour, minute, second, micro)  # noqa: DTZ001 - local
            if moment > after:
                return moment
    return None
