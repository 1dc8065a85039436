"""The clock of a meter as its own attributes describe it (class 8; Blue Book, 4.5.1).

A meter knows no zone database: it has a deviation to UTC, two dates on which daylight saving begins
and ends, and how far the clock is moved then. The two dates leave the year open and may say "last
Sunday"; that is what the European Union's rule looks like on the wire. Both are told in local time:
the beginning in normal time, the end in daylight-saving time.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hesper_dlms.cosem_time import DAYLIGHT_SAVING, CosemDateTime
from hesper_dlms.errors import DecodeError

from hesper_sim.errors import FleetError

NOT_SPECIFIED: Final = b"\xff" * 12
_LAST_DAY, _SECOND_LAST_DAY = 0xFE, 0xFD


class ClockRule(NamedTuple):
    """Attributes 3, 5, 6, 7 and 8 of a clock.

    `time_zone` is minutes from local normal time to UTC (Central Europe: -60); `begin` and `end`
    are 12 octets each, `deviation` the minutes that the clock is moved.
    """

    time_zone: int = 0
    begin: bytes = NOT_SPECIFIED
    end: bytes = NOT_SPECIFIED
    deviation: int = 0
    enabled: bool = False


def _rule_date(month: int, hour: int) -> bytes:
    sunday = 7
    return CosemDateTime(None, month, _LAST_DAY, sunday, hour, 0, 0, 0, None, 0).to_octets()


@lru_cache
def rule_of(zone: str) -> ClockRule:
    """Return the rule of a zone by name; FleetError for one whose rule a meter cannot hold here."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FleetError(f"there is no time zone {zone!r}") from None
    winter, summer = (
        int((place.utcoffset(datetime(2026, month, 15)) or timedelta()).total_seconds()) // 60  # noqa: DTZ001 - local
        for month in (1, 7)
    )
    if winter == summer:
        return ClockRule(-winter)
    first = datetime(2026, 3, 29, 1, tzinfo=UTC)  # the Union's rule: last Sunday, 01:00 UTC
    before, after = ((first + timedelta(seconds=step)).astimezone(place).dst() for step in (-1, 0))
    if before or not after or summer - winter != 60:
        raise FleetError(f"daylight saving of {zone} does not follow the European Union's rule")
    hour = 1 + winter // 60
    return ClockRule(-winter, _rule_date(3, hour), _rule_date(10, hour + 1), 60, True)


@lru_cache(maxsize=8192)
def time_octets(at: int, rule: ClockRule = ClockRule()) -> bytes:  # noqa: B008 - immutable
    """Return the 12 octets of a COSEM date-time for epoch seconds."""
    shift = rule.deviation if is_daylight_saving(at, rule) else 0
    minutes = rule.time_zone - shift
    local = datetime.fromtimestamp(at, timezone(timedelta(minutes=-minutes)))
    return CosemDateTime.from_datetime(local, clock_status(at, rule)).to_octets()


def clock_status(at: int, rule: ClockRule) -> int:
    """Return the clock status at epoch seconds: the daylight-saving bit, nothing else."""
    return DAYLIGHT_SAVING if is_daylight_saving(at, rule) else 0


def is_daylight_saving(at: int, rule: ClockRule) -> bool:
    """Return whether the clock is moved at epoch seconds."""
    if not rule.enabled:
        return False
    year = datetime.fromtimestamp(at - rule.time_zone * 60, UTC).year
    try:
        begin = _instant(rule.begin, year, rule.time_zone)
        end = _instant(rule.end, year, rule.time_zone - rule.deviation)
    except (DecodeError, ValueError):
        return False
    return begin <= at < end if begin <= end else not end <= at < begin


@lru_cache(maxsize=256)
def _instant(octets: bytes, year: int, to_utc: int) -> int:
    """Return when a date with an open year comes, epoch seconds; ValueError when it is none."""
    wanted = CosemDateTime.from_octets(octets)
    if wanted.month is None or wanted.day is None:
        raise ValueError("the date leaves its month or day open")
    last = monthrange(wanted.year or year, wanted.month)[1]
    named = {_LAST_DAY: last, _SECOND_LAST_DAY: last - 1}.get(wanted.day, wanted.day)
    day = date(wanted.year or year, wanted.month, named)
    if wanted.weekday is not None:
        step = -1 if wanted.day >= _SECOND_LAST_DAY else 1
        while day.isoweekday() != wanted.weekday:
            day += timedelta(days=step)
    moment = datetime(
        day.year, day.month, day.day, wanted.hour or 0, wanted.minute or 0, tzinfo=UTC
    )
    return int(moment.timestamp()) + to_utc * 60
