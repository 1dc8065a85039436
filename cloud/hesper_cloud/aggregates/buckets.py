"""Aggregates as they are read: half-hours, hours, days and months of one meter's quantity.

All are added up from the same buckets of the energy book, so that a month is the sum of its days
and a day the sum of its hours, across every change of the clock.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Literal
from zoneinfo import ZoneInfo

from hesper_cloud.aggregates import calendar
from hesper_cloud.aggregates.book import EnergyBook, Row

Step = Literal["half-hour", "hour", "day", "month"]
_HOUR_S, _DAY_S = 3600, 86_400
_DAYS = """
    SELECT day, starts_at, step_s, sums, counts, estimated, scaler, unit FROM days
    WHERE meter = $meter AND logical_name = $logical_name AND day >= $first AND day <= $last
    ORDER BY day"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One quantity from ``starts_at`` to ``ends_at`` (epoch seconds).

    ``sum`` is the energy of a register, or the sum of ``count`` measured values; their mean is
    ``mean``, rounded to the scaler. ``estimated`` of the ``count`` intervals rest on estimates.
    """

    starts_at: int
    ends_at: int
    sum: int
    count: int
    estimated: int
    scaler: int
    unit: int

    @property
    def mean(self) -> int | None:
        """The mean of the values, or the mean energy of an interval; None where there is none."""
        if not self.count:
            return None
        return (2 * self.sum + self.count) // (2 * self.count)


def read(
    book: EnergyBook, curve: tuple[str, str], start: int, end: int, step: Step, zone: ZoneInfo
) -> list[Bucket]:
    """Returns the buckets that begin in a range, ascending; those without a value are left out.

    Args:
        book: The energy book.
        curve: Meter and logical name.
        start: Epoch seconds.
        end: Epoch seconds, not included.
        step: How long a bucket is; a meter whose period is longer has longer ones.
        zone: The zone of the meter's days.
    """
    first, last = calendar.day_of(start, zone), calendar.day_of(end - 1, zone)
    if step == "month":
        first = first.replace(day=1)
        last = calendar.month_after(last) - timedelta(days=1)
    rows = book.rows(_DAYS, meter=curve[0], logical_name=curve[1], first=first, last=last)
    return [each for each in added_up(rows, step, zone) if start <= each.starts_at < end]


def added_up(rows: Sequence[Row], step: Step, zone: ZoneInfo) -> list[Bucket]:
    """Returns the buckets of one curve's days, ascending; those without a value are left out.

    A curve has one unit, that of most days: what is in another is left out.

    Args:
        rows: Of each day ``day, starts_at, step_s, sums, counts, estimated, scaler, unit``.
        step: How long a bucket is.
        zone: The zone of the days.
    """
    if not rows:
        return []
    scaler, unit = min(row[6] for row in rows), commonest(Counter(row[7] for row in rows))
    found: list[Bucket] = []
    for day, starts_at, step_s, sums, counts, estimated, its_scaler, its_unit in rows:
        if its_unit != unit:
            continue
        factor = 10 ** (its_scaler - scaler)
        edges = _edges(day, starts_at, step_s, len(sums), zone)
        found += [
            Bucket(
                edges[place],
                edges[place + 1],
                sums[place] * factor,
                counts[place],
                estimated[place],
                scaler,
                unit,
            )
            for place in range(len(sums))
            if counts[place]
        ]
    return found if step == "half-hour" else list(_joined(found, step, zone))


def _edges(day: date, starts_at: int, step_s: int, count: int, zone: ZoneInfo) -> list[int]:
    """Returns where the buckets of a day lie: between captures, as they are due."""
    stop = calendar.day_end(day, zone)
    if (stop - starts_at) % step_s and step_s < _DAY_S:
        due: list[int] = calendar.captures(day, zone, step_s).tolist()
        if due[0] == starts_at and len(due) > count:
            return due
    length_s = stop - starts_at if step_s == _DAY_S else step_s
    return [starts_at, *(min(starts_at + n * length_s, stop) for n in range(1, count + 1))]


def commonest(counts: Mapping[int, int]) -> int:
    """Returns the unit that most days are in, the first of the Blue Book's table of several."""
    return min(counts, key=lambda unit: (-counts[unit], unit))


def _joined(found: Iterable[Bucket], step: Step, zone: ZoneInfo) -> Iterator[Bucket]:
    for (starts_at, ends_at), group in groupby(found, lambda each: _range(each, step, zone)):
        parts = list(group)
        yield Bucket(
            starts_at,
            max(ends_at, parts[-1].ends_at) if step == "hour" else ends_at,
            sum(part.sum for part in parts),
            sum(part.count for part in parts),
            sum(part.estimated for part in parts),
            parts[0].scaler,
            parts[0].unit,
        )


def _range(bucket: Bucket, step: Step, zone: ZoneInfo) -> tuple[int, int]:
    """Returns the hour, day or month that a bucket belongs to."""
    day = calendar.day_of(bucket.starts_at, zone)
    begins = calendar.midnight(day, zone)
    if step == "hour":
        return _hour(bucket.starts_at, zone)
    if step == "day":
        return begins, calendar.day_end(day, zone)
    month: date = day.replace(day=1)
    return calendar.midnight(month, zone), calendar.midnight(calendar.month_after(month), zone)


def _hour(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """Returns the hour of the clock on the wall; one that the clock changes within is cut there."""
    shown = datetime.fromtimestamp(at, zone)
    begins = at - shown.minute * 60 - shown.second
    changed = _offset_s(at, zone) - _offset_s(begins, zone)
    return begins + abs(changed), begins + _HOUR_S


def _offset_s(at: int, zone: ZoneInfo) -> int:
    return int((datetime.fromtimestamp(at, zone).utcoffset() or timedelta()).total_seconds())
