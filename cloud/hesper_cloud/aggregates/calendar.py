"""Days and months as they begin in a time zone; 23 and 25 hours long where the clock changes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from hesper_cloud.stores.port import Integers

_DAY_S = 86_400


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


def captures(day: date, zone: ZoneInfo, period_s: int) -> Integers:
    """Returns when captures are due from the beginning of a local day to its end, epoch seconds.

    Where the clock changes by no multiple of the period, they are due by the clock on the wall: a
    time that it leaves out never, one that it shows twice at first.
    """
    start, end = midnight(day, zone), day_end(day, zone)
    if (end - start) % period_s == 0:
        return np.arange(start, end + 1, period_s, dtype=np.int64)
    begins = datetime.combine(day, time(), zone)
    shown = (begins + timedelta(seconds=after_s) for after_s in range(0, _DAY_S, period_s))
    due = {int(wall.timestamp()) for wall in shown if _exists(wall)}
    return np.array(sorted({start, *due, end}), dtype=np.int64)


def _exists(wall: datetime) -> bool:
    """Says whether the clock ever shows a time."""
    return wall.astimezone(UTC).astimezone(wall.tzinfo).time() == wall.time()


def month_after(month: date) -> date:
    """Returns the first day of the month after that of a day."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
