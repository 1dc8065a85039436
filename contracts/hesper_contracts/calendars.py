"""What `tariff.calendar` is told: a whole activity calendar (IEC 62056-6-2, class 20), and when.

Names are octet-strings in the meter; each character here is one octet of them, so that a name that
is no text, such as the octet 01, can be written too (as ``"\\u0001"``).
"""

from collections.abc import Sequence
from datetime import date, time
from typing import Annotated

import msgspec

from hesper_contracts.jsonbody import UtcTime

Name = Annotated[str, msgspec.Meta(pattern=r"^[\x00-\xff]{1,32}$")]
DayId = Annotated[int, msgspec.Meta(ge=0, le=255)]
SEASONS_MAX = 24
DAYS_MAX = 64
ACTIONS_MAX = 24
_LEAP_YEAR = 2024


class Season(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A season, the day of every year (or of one) on which it starts, and its week."""

    name: Name
    month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    day: Annotated[int, msgspec.Meta(ge=1, le=31)]
    week: Name
    year: Annotated[int, msgspec.Meta(ge=2000, le=2099)] | None = None

    def __post_init__(self) -> None:
        date(self.year or _LEAP_YEAR, self.month, self.day)


class Week(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A week: the day profile of each weekday, Monday first."""

    name: Name
    day_ids: Annotated[tuple[DayId, ...], msgspec.Meta(min_length=7, max_length=7)]


class Switch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time of day, by the meter's local time, and the script of the tariff table it starts."""

    at: time
    script: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]

    def __post_init__(self) -> None:
        if self.at.tzinfo is not None or self.at.microsecond:
            raise ValueError("a switching time is local and in whole seconds")


class Day(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day profile: its switching times in order."""

    day_id: DayId
    switches: Annotated[tuple[Switch, ...], msgspec.Meta(max_length=ACTIONS_MAX)]

    def __post_init__(self) -> None:
        times = [switch.at for switch in self.switches]
        if times != sorted(set(times)):
            raise ValueError(f"the switching times of day {self.day_id} are not in order")


class WriteCalendar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole passive calendar, and when it becomes the active one: None for at once."""

    name: Name
    seasons: Annotated[tuple[Season, ...], msgspec.Meta(min_length=1, max_length=SEASONS_MAX)]
    weeks: Annotated[tuple[Week, ...], msgspec.Meta(min_length=1, max_length=SEASONS_MAX)]
    days: Annotated[tuple[Day, ...], msgspec.Meta(min_length=1, max_length=DAYS_MAX)]
    activate_at: UtcTime | None

    def __post_init__(self) -> None:
        _check_once("season", [season.name for season in self.seasons])
        _check_once("week", [week.name for week in self.weeks])
        _check_once("day", [day.day_id for day in self.days])
        weeks, days = {week.name for week in self.weeks}, {day.day_id for day in self.days}
        if missing := {season.week for season in self.seasons} - weeks:
            raise ValueError(f"a season names the week {min(missing)!r}, which is not there")
        if unknown := {day_id for week in self.weeks for day_id in week.day_ids} - days:
            raise ValueError(f"a week names the day {min(unknown)}, which is not there")


def _check_once(what: str, names: Sequence[object]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"a {what} is there twice")
