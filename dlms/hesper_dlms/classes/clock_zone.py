"""The time zone that a meter's clock object describes (Blue Book part 2, clock, class 8).

    local normal time = UTC − time_zone                  (time_zone in minutes, CET: −60)
    local time        = normal time + daylight_savings_deviation, between begin and end

`daylight_savings_begin` is in normal time and `daylight_savings_end` in daylight-saving time, each
usually a pattern such as "the last Sunday of March at 2:00". The zone follows Python's rules for
the hours that are doubled (`fold`) and skipped.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from hesper_dlms.classes.recurrence import DaylightSavingDays, date_of, next_date, time_of
from hesper_dlms.classes.scheduling import Clock
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError

_NONE = timedelta(0)


class MeterZone(tzinfo):
    """A zone with daylight saving between two patterns.

    Args:
        normal: Offset of normal time from UTC.
        saving: What daylight saving adds.
        begin: When it begins, in normal time.
        end: When it ends, in daylight-saving time.
    """

    def __init__(
        self, normal: timedelta, saving: timedelta, begin: CosemDateTime, end: CosemDateTime
    ) -> None:
        self._normal = normal
        self._saving = saving
        self._begin = begin
        self._end = end
        self._by_year: dict[int, list[tuple[datetime, timedelta]]] = {}

    def __repr__(self) -> str:
        """Say what the zone is."""
        return f"MeterZone({self._normal}, {self._saving}, {self._begin}, {self._end})"

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Return the offset of a local time; of normal time where none is given."""
        return self._normal + self.dst(moment)

    def dst(self, moment: datetime | None) -> timedelta:
        """Return what daylight saving adds at a local time."""
        if moment is None:
            return _NONE
        local = moment.replace(tzinfo=None, fold=0)
        late, early = sorted((_NONE, self._saving))
        fits_early = self._added(local - self._normal - early) == early
        fits_late = self._added(local - self._normal - late) == late
        if fits_early and fits_late:
            return late if moment.fold else early
        if fits_early or fits_late:
            return early if fits_early else late
        return early if moment.fold else late

    def tzname(self, moment: datetime | None) -> str:
        """Return the offset as text."""
        return str(timezone(self.utcoffset(moment)))

    def fromutc(self, moment: datetime) -> datetime:
        """Return the local time of an instant; `fold` is set in the second of two alike."""
        utc = moment.replace(tzinfo=None)
        added = self._added(utc)
        local = (utc + self._normal + added).replace(tzinfo=self)
        second = local.replace(fold=1)
        return second if self.dst(local) != added and self.dst(second) == added else local

    def _added(self, utc: datetime) -> timedelta:
        """Return what daylight saving adds at a naive UTC time."""
        changes = self._changes(utc.year)
        place = bisect_right(changes, utc, key=lambda change: change[0])
        return changes[place - 1][1] if place else _NONE

    def _changes(self, year: int) -> list[tuple[datetime, timedelta]]:
        """Return the changes of three years around, as naive UTC times with what holds then."""
        if year not in self._by_year:
            self._by_year[year] = sorted(
                change for near in (year - 1, year, year + 1) for change in self._of_year(near)
            )
        return self._by_year[year]

    def _of_year(self, year: int) -> Iterator[tuple[datetime, timedelta]]:
        patterns = ((self._begin, _NONE, self._saving), (self._end, self._saving, _NONE))
        for pattern, before, after in patterns:
            local = _in_year(pattern, year)
            if local is not None:
                yield local - self._normal - before, after


def _in_year(pattern: CosemDateTime, year: int) -> datetime | None:
    if not date.min.year < year < date.max.year:
        return None
    day = next_date(pattern, date(year, 1, 1))
    if day is None or day.year != year:
        return None
    time = time_of(pattern)
    try:
        return datetime(  # noqa: DTZ001 - local, placed by the zone itself
            year, day.month, day.day, time.hour or 0, time.minute or 0, time.second or 0
        )
    except ValueError as error:
        raise DecodeError(f"{pattern} is no time: {error}") from None


def _names_a_day(pattern: CosemDateTime) -> bool:
    """Return whether a pattern leaves neither month nor day open, and such a day ever comes."""
    if pattern.month is None or pattern.day is None:
        return False
    return next_date(pattern, date(2000, 1, 1)) is not None


def zone_of(clock: Clock, wrong_sign: bool = False) -> tzinfo:
    """Return the zone that a clock object describes.

    Args:
        clock: Its attributes 3 and 5 to 8 must have been read; without the latter, or where
            daylight saving is disabled, the zone has none.
        wrong_sign: The meter writes offsets with the opposite sign.

    Raises:
        DecodeError: The attributes make no zone.
    """
    if clock.time_zone is None or not -1440 < clock.time_zone < 1440:
        raise DecodeError(f"a time_zone of {clock.time_zone} minutes")
    normal = timedelta(minutes=clock.time_zone if wrong_sign else -clock.time_zone)
    begin, end = clock.daylight_savings_begin, clock.daylight_savings_end
    saving = timedelta(minutes=clock.daylight_savings_deviation or 0)
    if not clock.daylight_savings_enabled or not saving or begin is None or end is None:
        return timezone(normal) if normal else UTC
    if not timedelta(days=-1) < normal + saving < timedelta(days=1):
        raise DecodeError(f"daylight saving of {saving} beside an offset of {normal}")
    if not all(map(_names_a_day, (begin, end))):
        return timezone(normal)  # never switched
    zone = MeterZone(normal, saving, begin, end)
    _in_year(begin, 2000), _in_year(end, 2000)
    return zone


def saving_days(clock: Clock) -> DaylightSavingDays | None:
    """Return what the months FE and FD stand for beside this clock; None where it does not say."""
    begin, end = clock.daylight_savings_begin, clock.daylight_savings_end
    if begin is None or end is None:
        return None
    return DaylightSavingDays(date_of(begin), date_of(end))
