"""What calendars and schedules do at a local time (Blue Book part 2, classes 11, 20 and 22).

    special day (if the date is one)  ─┐
    season → week → weekday           ─┴→ day_id → day profile → the last action before now

A season lasts from the day it starts until another one starts. A day begins with whatever the day
before ended with. Seasons and special days are usually patterns, see `recurrence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hesper_dlms.classes.recurrence import DaylightSavingDays, last_date, matches, next_occurrence
from hesper_dlms.classes.scheduling import (
    ActivityCalendar,
    DayAction,
    DayProfile,
    ExecutionTime,
    SeasonProfile,
    SpecialDay,
    WeekProfile,
)
from hesper_dlms.cosem_time import CosemDateTime, CosemTime

_DAYS_AHEAD = 400


@dataclass(frozen=True, slots=True)
class Calendar:
    """An activity calendar with its special days."""

    seasons: tuple[SeasonProfile, ...]
    weeks: tuple[WeekProfile, ...]
    days: tuple[DayProfile, ...]
    special_days: tuple[SpecialDay, ...] = ()
    saving: DaylightSavingDays | None = None

    @classmethod
    def active(
        cls,
        calendar: ActivityCalendar,
        special_days: Sequence[SpecialDay] = (),
        saving: DaylightSavingDays | None = None,
    ) -> Calendar:
        """Return the active calendar of an object whose attributes 3 to 5 were read."""
        return cls(
            calendar.season_profile_active or (),
            calendar.week_profile_table_active or (),
            calendar.day_profile_table_active or (),
            tuple(special_days),
            saving,
        )

    def season(self, day: date) -> SeasonProfile | None:
        """Return the season of a day: the one that started last; None before the first."""
        found: SeasonProfile | None = None
        started = date.min
        for season in self.seasons:
            start = last_date(season.season_start, day, self.saving)
            if start is not None and start >= started:
                found, started = season, start
        return found

    def day_id(self, day: date) -> int | None:
        """Return the day profile of a local date; None where the calendar names none."""
        return self._day_id(day, self.season(day))

    def _day_id(self, day: date, season: SeasonProfile | None) -> int | None:
        for special in self.special_days:
            if matches(special.specialday_date, day, self.saving):
                return special.day_id
        weeks = [
            week for week in self.weeks if season and week.week_profile_name == season.week_name
        ]
        return None if not weeks else int(weeks[0][day.isoweekday()])

    def action_at(self, at: datetime) -> DayAction | None:
        """Return the action in force at a local, naive time; None where there was none yet."""
        day = at.date()
        for _ in range(8):
            begun = [pair for pair in self._actions(day, self.day_id(day)) if pair[0] <= at]
            if begun:
                return begun[-1][1]
            if day == date.min:
                break
            day -= timedelta(days=1)
        return None

    def next_action(self, after: datetime) -> tuple[datetime, DayAction] | None:
        """Return the next action later than a local, naive time, and when it is."""
        day = after.date()
        season = self.season(day)
        for _ in range(_DAYS_AHEAD if any(each.day_schedule for each in self.days) else 0):
            for pair in self._actions(day, self._day_id(day, season)):
                if pair[0] > after:
                    return pair
            if day == date.max:
                break
            day += timedelta(days=1)
            season = self._season_from(day, season)
        return None

    def _season_from(self, day: date, before: SeasonProfile | None) -> SeasonProfile | None:
        """Return the season of a day when the season of the day before is known."""
        starting = [each for each in self.seasons if matches(each.season_start, day, self.saving)]
        return starting[-1] if starting else before

    def _actions(self, day: date, wanted: int | None) -> list[tuple[datetime, DayAction]]:
        schedule = next((each.day_schedule for each in self.days if each.day_id == wanted), ())
        timed = [(_moment(day, action.start_time), action) for action in schedule]
        known = [(moment, action) for moment, action in timed if moment is not None]
        return sorted(known, key=lambda pair: pair[0])


def next_execution(
    times: Sequence[ExecutionTime], after: datetime, saving: DaylightSavingDays | None = None
) -> datetime | None:
    """Return when a single-action schedule executes next, later than a local, naive time.

    Args:
        times: Attribute 4 of the schedule; open fields repeat.
        after: As the meter's clock shows it.
        saving: What the months FE and FD of a date stand for.

    Raises:
        DecodeError: A time of day is out of range.
    """
    patterns = (
        CosemDateTime(
            each.date.year,
            each.date.month,
            each.date.day,
            each.date.weekday,
            each.time.hour,
            each.time.minute,
            each.time.second,
            each.time.hundredths,
            None,
            None,
        )
        for each in times
    )
    found = (next_occurrence(pattern, after, saving) for pattern in patterns)
    return min((moment for moment in found if moment is not None), default=None)


def _moment(day: date, time: CosemTime) -> datetime | None:
    """Return a time of day on a date; an open field is 0, None for what is no time."""
    try:
        return datetime(  # noqa: DTZ001 - local and naive, as the meter's clock shows it
            day.year, day.month, day.day, time.hour or 0, time.minute or 0, time.second or 0
        )
    except ValueError:
        return None
