"""Finds days whose energy book does not say what the store holds, and marks them.

Marks may be lost with a killed process, readings may be erased or restored, and a meter that was
silent for a whole day marks nothing. So after every start the last weeks are compared, a day per
turn, newest first, and from then on each day that has ended; some thousand meters at a time: of a
large fleet a day is never in memory as a whole. A day that a clock which was ahead took for over
comes again when it is.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine, select

from hesper_cloud import quantities
from hesper_cloud.aggregates import calendar
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.roster import Member, members
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.giving_way import NO_RESTS, GivesWay
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.validation import dirty
from hesper_cloud.validation.sheet import nearest

DAYS_BACK = 35
_DAY_S = 86_400
_SETTLED_S = 3600
_KNOWN = """
    SELECT meter, stored, expected FROM scores
    WHERE starts_at = $start AND meter IN (SELECT unnest($meters))"""


class Reconciliation:
    """Compares one day per `turn`."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        book: EnergyBook,
        settings: Settings,
        clock: Callable[[], datetime],
        giving_way: GivesWay = NO_RESTS,
    ) -> None:
        self._engine = engine
        self._store = store
        self._book = book
        self._settings = settings
        self._clock = clock
        self._giving_way = giving_way
        self._newest = self._newest_over()
        self._waiting = list(range(self._newest - DAYS_BACK + 1, self._newest + 1))

    def turn(self) -> int:
        """Compares the next day; returns how many marks it set."""
        over = self._newest_over()
        self._waiting += range(self._newest + 1, over + 1)
        self._waiting = [day for day in self._waiting if day <= over]
        self._newest = over
        if not self._waiting:
            return 0
        day = self._waiting.pop()
        with reading(self._engine) as session:
            names = session.scalars(select(Meter.id).order_by(Meter.id)).all()
        parts = self._giving_way.portions(batched(names, self._store.meters_at_once))
        return sum(self._mark_differing(day, part) for part in parts)

    def _mark_differing(self, day: int, names: Sequence[str]) -> int:
        known = members(self._engine, self._settings, names)
        marks = [
            mark
            for zone in self._zones()
            if (seated := {m: each for m, each in known.items() if each.zone.key == zone.key})
            for mark in self._differing(day, zone, seated)
        ]
        with writing(self._engine) as session:
            dirty.mark(session, marks, self._clock())
        return len(marks)

    def _newest_over(self) -> int:
        """Returns the newest day that has been over for an hour in every zone."""
        now = self._clock().timestamp()
        day = int(now) // _DAY_S
        while any(_end(day, zone) + _SETTLED_S > now for zone in self._zones()):
            day -= 1
        return day

    def _zones(self) -> list[ZoneInfo]:
        validation = self._settings.validation
        names = {validation.zone, *validation.area_zones.values()}
        return [ZoneInfo(name) for name in sorted(names)]

    def _differing(
        self, number: int, zone: ZoneInfo, seated: dict[str, Member]
    ) -> Iterator[tuple[str, int]]:
        """Yields the meters of a zone whose local day holds another number of captures."""
        day, end = _date(number), _end(number, zone)
        start = calendar.midnight(day, zone)
        names = list(seated)
        captured = self._store.captured(quantities.LOAD_PROFILE, start + 1, end + 1, names)
        rows = self._book.rows(_KNOWN, start=start, meters=names)
        known = {row[0]: row[1:] for row in rows}
        for meter, member in seated.items():
            gone, back = member.away
            is_gone = gone <= start and end <= back and meter not in known
            if member.expected_from >= end or is_gone:
                continue
            period_s = member.period_on(day)
            due_at = calendar.captures(day, zone, period_s)
            times = captured.get(meter, np.empty(0, np.int64))
            times = times[~member.is_away(times)]
            slots = np.unique(nearest(due_at, times, period_s))
            slots = slots[member.captures(due_at)[slots]]
            is_kept = member.keeps_profile or len(slots) > 0
            due = member.due(due_at[1:]) if is_kept else 0
            stored, expected = known.get(meter, (-1, 0))
            is_over = due == 0 or (gone < end and start < back)
            if len(slots) != stored or expected < due or (is_over and expected > due):
                yield meter, start // _DAY_S
                yield meter, (end - 1) // _DAY_S


def _date(number: int) -> date:
    return datetime.fromtimestamp(number * _DAY_S, UTC).date()


def _end(number: int, zone: ZoneInfo) -> int:
    return calendar.day_end(_date(number), zone)
