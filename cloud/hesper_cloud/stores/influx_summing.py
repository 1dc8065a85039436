"""Sums up days that are over in InfluxDB, before anybody asks; see `influx_day_sums`.

Theory of operation. InfluxQL takes ten microseconds for each value that it sums up by quarter hour,
and again for every other step and quantity. Days that are packed it gives in a hundredth of that:
so upkeep reads these (`influx_day_rows`) and sums up itself, all quantities at all usual steps at
once. Only yesterday, which is not packed yet, it reads as it is. It takes the newest days first,
some meters at a time, for what packing has left of a turn, half of which is others'; a day that was
begun is gone on with in the next turn. One that rows came for, or that fails, follows an hour
later, and the others before it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping

from hesper_cloud.stores.influx_day_rows import DayRows, Key
from hesper_cloud.stores.influx_day_sums import (
    OVER_SINCE_S,
    DaySums,
    Kind,
    Step,
    Steps,
    Sum,
    Sums,
)
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_packing import RESTS_S, TURN_S, PackedDays
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.stepped_sums import DAY_S, STEPS, DayTotals, Rows

_AT_LEAST_S = 1.0
_METERS_AT_ONCE = 50

Due = tuple[Kind, int]
"""A kind of sums, and a day counted from 1970-01-01."""


class Summing:
    """Makes the sums that are kept.

    Args:
        server: Where readings are.
        layouts: What readings refer to.
        kept: The sums, and the packed days.
        writing: Held while a group is written.
    """

    def __init__(
        self,
        server: InfluxServer,
        layouts: Layouts,
        kept: tuple[DaySums, PackedDays],
        writing: threading.RLock,
    ) -> None:
        self._server = server
        self._layouts = layouts
        self._sums, self._packing = kept
        self._writing = writing
        self._begun: dict[Due, int] = {}
        self._under_way: Iterator[bool] | None = None

    def sum_up(self, now: int, certain: Callable[[], bool], turn_begun: float) -> None:
        """Sums up what is due, for the rest of a turn, half of which is others'.

        Args:
            now: Says what is due.
            certain: Says, while nothing is written, whether all that was written is known.
            turn_begun: When the turn of upkeep began, in the time of `time.monotonic`.
        """
        ends = max(turn_begun + TURN_S, time.monotonic() + _AT_LEAST_S)
        while time.monotonic() < ends:
            begun = time.monotonic()
            day, self._under_way = self._under_way or self._begin(now, certain), None
            if day is None:
                return
            if next(day, False):  # what fails is not under way any longer
                self._under_way = day
            time.sleep(time.monotonic() - begun)

    def _begin(self, now: int, certain: Callable[[], bool]) -> Iterator[bool] | None:
        due = self._due(now)
        if due is None:
            return None
        with self._writing:
            if not certain():
                return None
        self._begun[due] = now
        return self._made(*due, certain)

    def _due(self, now: int) -> Due | None:
        """Returns the newest day; packing comes before, also of the day where growth looks back."""
        due = (
            (Kind(growth, profile), day)
            for profile, day in self._packing.at_rest(now, OVER_SINCE_S)
            for growth in (False, True)
            if not (growth and self._packing.is_ahead((profile, day - 1), now))
        )
        return next((each for each in due if self._is_due(each, now)), None)

    def _is_due(self, due: Due, now: int) -> bool:
        return not self._sums.is_made(*due) and self._begun.get(due, 0) <= now - RESTS_S

    def _made(self, kind: Kind, day: int, certain: Callable[[], bool]) -> Iterator[bool]:
        """Sums up a day; yields True after each portion of meters."""
        with self._sums.summing(kind) as work:
            with self._writing:
                if not certain():  # nor does the work know of rows that are on their way
                    return
            rows = DayRows(self._server, self._layouts, kind, day)
            totals = Totals(kind, day, rows.scalers)
            meters = rows.meters()
            for first in range(0, len(meters), _METERS_AT_ONCE):
                totals.add(rows.of(meters[first : first + _METERS_AT_ONCE]))
                yield True
            self._sums.keep(work, {day: totals.sums()}, whole=True)


class Totals:
    """What a day sums up to, for each quantity and unit."""

    def __init__(self, kind: Kind, day: int, scalers: Mapping[Key, int]) -> None:
        self._growth = kind.growth
        self._start = day * DAY_S
        self._scalers = scalers
        self._totals: dict[Key, DayTotals] = {}

    def add(self, rows: dict[Key, Rows]) -> None:
        """Adds the rows of some meters, by quantity and unit."""
        for key, each in rows.items():
            total = self._totals.setdefault(key, DayTotals(self._start))
            if self._growth:
                total.add_growth(each)
            else:
                total.add_levels(each)

    def sums(self) -> Sums:
        """Returns all sums."""
        found: dict[Sum, Steps] = {}
        for key, total in self._totals.items():
            steps: dict[int, list[Step]] = {step_s: [] for step_s in STEPS}
            for step_s, *step in total.sums():
                steps[step_s].append(Step(*step))
            for step_s, each in steps.items():
                found[Sum(*key, step_s)] = Steps(self._scalers[key], each)
        return found
