"""Days republished on MQTT for other systems, by choice: validated values, and aggregates.

Theory of operation. Every time that a meter's day was worked on, the energy book gives it a higher
number; the number is the version of its messages, which carry the whole day, so that a consumer
puts a higher version in the place of a lower one. The follower goes by the numbers: a day that is
worked on again before its turn came moves to the end of the queue and goes out once. A day waits
until it was left alone for `settle_s`; a page of days goes out per turn; what was worked on more
than `backlog_days` ago, while nothing followed, stays at home. The cursor moves on when the broker
has acknowledged a page. Numbers go up whatever the clock does: once it was ahead, they stay ahead
until it comes there, and days go out without the wait.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson

from hesper_cloud.aggregates import calendar
from hesper_cloud.aggregates.book import Working, number_at
from hesper_cloud.aggregates.buckets import Bucket, Step, added_up
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.roster import members
from hesper_cloud.aggregates.views import Range
from hesper_cloud.db.registry import CLOCK_TOLERANCE
from hesper_cloud.exports.curves import Curve, Value, validated_curves
from hesper_cloud.exports.numbers import exact, rfc3339
from hesper_cloud.exports.outlet import Cursor, Message, Outlet
from hesper_cloud.quantities import LOAD_PROFILE, symbol
from hesper_cloud.settings import Settings

_DAYS = """
    SELECT meter, logical_name, day, starts_at, step_s, sums, counts, estimated, scaler, unit
    FROM days WHERE day = $day AND meter IN (SELECT unnest($meters)) ORDER BY meter, logical_name"""

_EVER = 2**63 - 1
_Told = dict[str, Any]


class _Day(NamedTuple):
    """One local day of the meters of one zone."""

    day: date
    zone: ZoneInfo

    def span(self) -> tuple[int, int]:
        """Returns when it begins and ends; a capture at its end is its last one."""
        return calendar.midnight(self.day, self.zone), calendar.day_end(self.day, self.zone)


class RepublishDays:
    """Follows the energy book; `turn` publishes days that were worked on since."""

    def __init__(
        self, outlet: Outlet, settings: Settings, shelf: Shelf, clock: Callable[[], datetime]
    ) -> None:
        self._outlet = outlet
        self._settings = settings
        self._wanted = settings.exports.republish
        self._shelf = shelf
        self._clock = clock
        self._cursor = Cursor(settings.state / "republish-days.cursor")

    def turn(self) -> int:
        """Publishes the next page of days; returns how many; without a connection it waits."""
        wanted = self._wanted
        if not (wanted.validated or wanted.aggregates) or not self._outlet.is_connected():
            return 0
        now = self._clock()
        oldest = number_at(now - timedelta(days=wanted.backlog_days))
        settled = number_at(now - timedelta(seconds=wanted.settle_s))
        after = max(int(self._cursor.read() or 0), oldest)
        page = self._shelf.book.workings(after, settled, wanted.days_per_turn)
        page = page or self._ahead(after, now)
        if not page or not self._outlet.publish(self._messages(page)):
            return 0
        self._cursor.move(str(page[-1].number))
        return len(page)

    def _ahead(self, after: int, now: datetime) -> list[Working]:
        """Returns days with numbers of a clock that was ahead, when none settles before them."""
        book, soon = self._shelf.book, number_at(now + CLOCK_TOLERANCE)
        if book.workings(after, soon, 1):
            return []
        return book.workings(max(after, soon), _EVER, self._wanted.days_per_turn)

    def _messages(self, page: Sequence[Working]) -> Iterator[Message]:
        known = members(self._shelf.engine, self._settings, {each.meter for each in page})
        together: dict[_Day, list[Working]] = defaultdict(list)
        for working in page:
            together[_Day(working.day, known[working.meter].zone)].append(working)
        for day, workings in together.items():
            meters = [each.meter for each in workings]
            if self._wanted.validated:
                yield from _of_each("validated", day, workings, self._validated(day, meters))
            if self._wanted.aggregates:
                yield from _of_each("aggregates", day, workings, self._aggregates(day, meters))

    def _validated(self, day: _Day, meters: list[str]) -> Iterator[tuple[str, _Told]]:
        start, end = day.span()
        span = Range(LOAD_PROFILE, start + 1, end + 1)
        for curve in validated_curves(self._shelf, span, meters):
            if self._is_wanted(curve.quantity.logical_name):
                yield curve.meter, _curve(curve)

    def _aggregates(self, day: _Day, meters: list[str]) -> Iterator[tuple[str, _Told]]:
        for meter, logical_name, *row in self._shelf.book.rows(_DAYS, day=day.day, meters=meters):
            if self._is_wanted(logical_name):
                steps = {each: _steps(row, each, day.zone) for each in self._wanted.aggregates}
                told = {"logical_name": logical_name, "unit": symbol(row[-1]), "steps": steps}
                yield meter, told

    def _is_wanted(self, logical_name: str) -> bool:
        return not self._wanted.quantities or logical_name in self._wanted.quantities


def _of_each(
    kind: str, day: _Day, workings: Iterable[Working], curves: Iterable[tuple[str, _Told]]
) -> Iterator[Message]:
    """Yields one message per meter, also where nothing is left of its day."""
    of_meter = {
        meter: [told for _, told in group] for meter, group in groupby(curves, lambda each: each[0])
    }
    start, end = day.span()
    for meter, _, number in workings:
        told = {
            "meter": meter,
            "day": day.day.isoformat(),
            "version": number,
            "profile": LOAD_PROFILE,
            "starts_at": rfc3339(start),
            "ends_at": rfc3339(end),
            "curves": of_meter.get(meter, []),
        }
        yield Message(meter, f"{kind}/{day.day.isoformat()}", orjson.dumps(told))


def _curve(curve: Curve) -> _Told:
    name, scaler, unit = curve.quantity
    values = [_value(each, scaler) for each in curve.values]
    return {"logical_name": name, "unit": symbol(unit), "values": values}


def _value(each: Value, scaler: int) -> _Told:
    told: _Told = {
        "captured_at": rfc3339(each.captured_at),
        "value": exact(each.value, scaler),
        "source": each.source,
        "grade": int(each.grade),
        "codes": each.codes,
    }
    return told if each.raw is None else told | {"raw": exact(each.raw, scaler)}


def _steps(row: Sequence[Any], step: Step, zone: ZoneInfo) -> list[_Told]:
    return [_bucket(each) for each in added_up([tuple(row)], step, zone)]


def _bucket(each: Bucket) -> _Told:
    return {
        "starts_at": rfc3339(each.starts_at),
        "ends_at": rfc3339(each.ends_at),
        "sum": exact(each.sum, each.scaler),
        "count": each.count,
        "estimated": each.estimated,
    }
