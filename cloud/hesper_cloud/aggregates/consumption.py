"""What many meters took together, by the local day and by the month, added up from the book."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Literal

from hesper_cloud.aggregates.book import EnergyBook, Row
from hesper_cloud.aggregates.buckets import commonest

GroupStep = Literal["day", "month"]
_DAYS = """
    SELECT day, scaler, unit, SUM(list_sum(sums)), SUM(list_sum(counts)),
           SUM(list_sum(estimated)), COUNT(*)
    FROM days
    WHERE logical_name = $logical_name AND day >= $first AND day <= $last
      AND ($everybody OR meter IN (SELECT UNNEST($meters)))
    GROUP BY day, scaler, unit ORDER BY day"""


@dataclass(frozen=True, slots=True)
class Consumption:
    """What meters took from the start of one local day to the end of another.

    ``value`` × 10^``scaler`` in ``unit``; ``meters`` is the most that have a value on one day, and
    ``estimated`` of the ``count`` intervals rest on estimates.
    """

    first: date
    last: date
    value: int
    scaler: int
    unit: int
    meters: int
    count: int
    estimated: int


def consumption(
    book: EnergyBook,
    meters: Collection[str] | None,
    logical_name: str,
    first: date,
    last: date,
    step: GroupStep,
) -> list[Consumption]:
    """Returns what meters took, ascending; days of which nothing is known are left out.

    It is in one unit, that of most days of single meters: what is in another is left out.

    Args:
        book: The energy book.
        meters: Whose; None for everybody.
        logical_name: A register of energy.
        first: Local day, included.
        last: Local day, included.
        step: Each day by itself, or the days of a month together.
    """
    rows = book.rows(
        _DAYS,
        logical_name=logical_name,
        first=first,
        last=last,
        everybody=meters is None,
        meters=sorted(meters or ()),
    )
    parts = [_part(row) for row in rows]
    counts = Counter[int]()
    for part in parts:
        counts[part.unit] += part.meters
    unit = commonest(counts) if parts else 0
    same = (each for each in parts if each.unit == unit)
    return [
        _together(list(group)) for _, group in groupby(same, lambda each: _key(each.first, step))
    ]


def _part(row: Row) -> Consumption:
    day, scaler, unit, value, count, estimated, meters = row
    numbers = (int(value or 0), int(scaler), int(unit), int(meters), int(count or 0))
    return Consumption(day, day, *numbers, int(estimated or 0))


def _key(day: date, step: GroupStep) -> date:
    return day if step == "day" else day.replace(day=1)


def _together(parts: list[Consumption]) -> Consumption:
    scaler = min(each.scaler for each in parts)
    by_day = groupby(parts, lambda each: each.first)
    return Consumption(
        first=parts[0].first,
        last=parts[-1].last,
        value=sum(each.value * 10 ** (each.scaler - scaler) for each in parts),
        scaler=scaler,
        unit=parts[0].unit,
        meters=max(sum(each.meters for each in day) for _, day in by_day),
        count=sum(each.count for each in parts),
        estimated=sum(each.estimated for each in parts),
    )
