"""Days and months as they begin in a time zone; 23 and 25 hours long where the clock changes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def midnight(day: date, zone: ZoneInfo) -> int:
    """Returns when a local day begins, epoch seconds."""
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())


def day_end(day: date, zone: ZoneInfo) -> int:
    """Returns when a local day ends and the next begins, epoch seconds."""
    return midnight(day + timedelta(days=1), zone)


def day_of(at: int, zone: ZoneInfo) -> date:
    """Returns the local day of an instant."""
    return datetime.fromtimestamp(at, zone).date()


def days(first: date, last: date) -> Iterator[date]:
    """Yields days from the first to the last, both included."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def touched_days(start: int, end: int, zone: ZoneInfo) -> list[date]:
    """Returns the local days that captures with ``start <= t <= end`` count for.

    A capture at midnight ends one day's last interval and begins the next day's first.
    """
    return list(days(day_of(start - 1, zone), day_of(end, zone)))


def month_after(month: date) -> date:
    """Returns the first day of the month after that of a day."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
