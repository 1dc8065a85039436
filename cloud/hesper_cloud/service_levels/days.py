"""Days as the service levels count them, in the zone that was configured."""

from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hesper_cloud.aggregates import calendar


class Day(NamedTuple):
    """One local day; 23 or 25 hours long where the clock changes. Instants are aware UTC."""

    on: date
    start: datetime
    end: datetime

    @classmethod
    def of(cls, day: date, zone: ZoneInfo) -> "Day":
        """Returns a day of the calendar."""
        start, end = calendar.midnight(day, zone), calendar.day_end(day, zone)
        return cls(day, datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))

    @classmethod
    def at(cls, instant: datetime, zone: ZoneInfo) -> "Day":
        """Returns the day that an instant is in."""
        return cls.of(instant.astimezone(zone).date(), zone)

    @property
    def span(self) -> tuple[int, int]:
        """When it begins, and when the next one does; epoch seconds."""
        return int(self.start.timestamp()), int(self.end.timestamp())
