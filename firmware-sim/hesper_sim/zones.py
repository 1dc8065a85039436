"""The clock of a meter as its own attributes describe it (class 8; Blue Book part 2).

A meter knows no zone database: it has the attributes of its clock, here in the form in which they
are kept and served. `hesper_dlms.classes.clock_zone` says what they mean; what a zone of the
European Union looks like in them is told here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hesper_dlms import obis
from hesper_dlms.classes.clock_zone import zone_of
from hesper_dlms.classes.scheduling import Clock
from hesper_dlms.cosem_time import DAYLIGHT_SAVING, LAST_DAY, CosemDateTime
from hesper_dlms.errors import DecodeError

from hesper_sim.errors import FleetError

NOT_SPECIFIED: Final = b"\xff" * 12


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
    return CosemDateTime(None, month, LAST_DAY, sunday, hour, 0, 0, 0, None, 0).to_octets()


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
    local = datetime.fromtimestamp(at, zone_by(rule))
    return CosemDateTime.from_datetime(local, clock_status(at, rule)).to_octets()


def clock_status(at: int, rule: ClockRule) -> int:
    """Return the clock status at epoch seconds: the daylight-saving bit, nothing else."""
    return DAYLIGHT_SAVING if is_daylight_saving(at, rule) else 0


@lru_cache(maxsize=8192)
def is_daylight_saving(at: int, rule: ClockRule) -> bool:
    """Return whether the clock is moved at epoch seconds."""
    return bool(datetime.fromtimestamp(at, zone_by(rule)).dst())


@lru_cache(maxsize=256)
def zone_by(rule: ClockRule) -> tzinfo:
    """Return the zone of a rule; without daylight saving where its dates make no sense."""
    clock = Clock(obis.CLOCK, time_zone=rule.time_zone)
    try:
        return zone_of(
            clock._replace(
                daylight_savings_begin=CosemDateTime.from_octets(rule.begin),
                daylight_savings_end=CosemDateTime.from_octets(rule.end),
                daylight_savings_deviation=rule.deviation,
                daylight_savings_enabled=rule.enabled,
            )
        )
    except DecodeError:
        return zone_of(clock)
