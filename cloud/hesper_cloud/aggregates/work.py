"""One turn of validation and aggregation: from marked days to rows of the energy book.

Theory of operation. Marks name UTC days; the local days that they touch are worked on, those on
which captures count. Days of the same length, period and kind of meter share a sheet, so that the
checks run over thousands of meters at once. First estimates are renewed where something is
missing; the days whose estimates changed join the work. Then each sheet, substitutes laid over it,
is judged and summed, and its rows replace what the book holds. Marks are removed last: a turn that
was killed is done again, with the same result.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine

from hesper_cloud import quantities
from hesper_cloud.aggregates import calendar, pages
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.roster import Member, members
from hesper_cloud.db.energy import Substitute
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import Flags, Quantity, ReadingStore
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.codes import EDIT
from hesper_cloud.validation.filling import Span, refill
from hesper_cloud.validation.judge import judge
from hesper_cloud.validation.sheet import Grid, Sheet, lay_out
from hesper_cloud.validation.substitutes import Curve

MARKS_PER_TURN = 20_000
_METERS_PER_SHEET = 2_000
_DAY_S = 86_400
_SHORTEST_GRACE_S = 30


@dataclass(frozen=True, slots=True)
class Sitting:
    """Days that share a sheet: one local day, one period, one type of meter."""

    day: date
    zone: ZoneInfo
    period_s: int
    meter_type: str | None


@dataclass(slots=True, eq=False)
class Overlaid:
    """A sheet with its substitutes laid over: where they are, by logical name.

    `outdated` names rows and quantities with an estimate where the value itself has come.
    """

    sheet: Sheet
    estimated: dict[str, Flags]
    edited: dict[str, Flags]
    outdated: set[tuple[int, str]]


class Work:
    """Works marked days off; `turn` is called from one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        book: EnergyBook,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._store = store
        self._book = book
        self._settings = settings
        self._clock = clock

    def turn(self, limit: int = MARKS_PER_TURN) -> int:
        """Works off the marks that waited longest; returns how many there were."""
        marks = dirty.taken(self._engine, limit)
        if not marks:
            return 0
        known = members(self._engine, self._settings, {mark.meter for mark in marks})
        days = {
            (mark.meter, day)
            for mark in marks
            for day in calendar.touched_days(
                mark.day * _DAY_S, (mark.day + 1) * _DAY_S - 1, known[mark.meter].zone
            )
        }
        days |= self._estimated_anew(days, known)
        for sitting, names in _sittings(days, known):
            self._work(sitting, [known[name] for name in names])
        with writing(self._engine) as session:
            dirty.settled(session, marks)
        return len(marks)

    def _estimated_anew(
        self, days: set[tuple[str, date]], known: dict[str, Member]
    ) -> set[tuple[str, date]]:
        """Renews estimates where captures are missing; returns the days that this changed."""
        changed: set[tuple[str, date]] = set()
        for sitting, names in _sittings(days, known):
            laid = self._overlaid(sitting, [known[name] for name in names])
            if laid is None:
                continue
            for row, curve in _wanting(laid):
                span = Span(
                    int(laid.sheet.times[0]),
                    int(laid.sheet.times[-1]),
                    sitting.period_s,
                    sitting.zone,
                )
                with writing(self._engine) as session:
                    moved = refill(session, self._store, curve, span, self._settings.validation)
                changed |= {
                    (laid.sheet.meters[row], day)
                    for at in moved
                    for day in calendar.touched_days(at, at, sitting.zone)
                }
        return changed

    def _work(self, sitting: Sitting, meters: Sequence[Member]) -> None:
        laid = self._overlaid(sitting, meters)
        if laid is None:
            return
        limits = self._settings.validation.of(sitting.meter_type)
        since = np.array([each.expected_from for each in meters])
        due = since[:, np.newaxis] <= laid.sheet.times
        verdicts = judge(laid.sheet, limits)
        written = {
            "days": pages.days(laid.sheet, laid.estimated, sitting.day, limits),
            "scores": pages.scores(laid, verdicts, due, sitting.day),
            "verdicts": pages.verdicts(laid.sheet, verdicts, due, sitting.day),
        }
        self._book.replace(pages.worked(laid.sheet.meters, sitting.day), written)

    def _overlaid(self, sitting: Sitting, meters: Sequence[Member]) -> Overlaid | None:
        """Returns the sheet of one sitting up to now; None where nothing of the day is due yet."""
        now = int(self._clock().timestamp())
        start = calendar.midnight(sitting.day, sitting.zone)
        end = calendar.day_end(sitting.day, sitting.zone)
        grace_s = max(_SHORTEST_GRACE_S, sitting.period_s)
        end = min(end, now - grace_s - (now - grace_s - start) % sitting.period_s)
        if end <= start:
            return None
        names = [each.meter for each in meters]
        margin_s = sitting.period_s // 2
        parts = self._store.rows(
            quantities.LOAD_PROFILE, start - margin_s, end + margin_s + 1, names
        )
        sheet = lay_out(parts, names, start, end, sitting.period_s)
        with reading(self._engine) as session:
            held = substitutes.current(session, names, quantities.LOAD_PROFILE, start, end)
        return _overlay(sheet, held)


def _sittings(
    days: Iterable[tuple[str, date]], known: dict[str, Member]
) -> Iterator[tuple[Sitting, list[str]]]:
    """Yields the meters that can share a sheet, some thousand at a time."""
    together: dict[Sitting, list[str]] = {}
    for meter, day in sorted(days):
        member = known[meter]
        key = Sitting(day, member.zone, member.period_s, member.meter_type)
        together.setdefault(key, []).append(meter)
    for sitting, names in together.items():
        for start in range(0, len(names), _METERS_PER_SHEET):
            yield sitting, names[start : start + _METERS_PER_SHEET]


def _overlay(sheet: Sheet, held: Iterable[Substitute]) -> Overlaid:
    laid = Overlaid(sheet, {}, {}, set())
    rows = {meter: row for row, meter in enumerate(sheet.meters)}
    for each in held:
        grid = sheet.grids.get(each.logical_name)
        if grid is None:
            grid = _empty_grid(sheet, each)
        offset = int(each.captured_at.timestamp()) - int(sheet.times[0])
        finer = each.scaler - grid.quantity.scaler
        if offset % sheet.period_s or grid.quantity.unit != each.unit or finer < 0:
            continue
        place = (rows[each.meter], offset // sheet.period_s)
        if each.method != EDIT and grid.known[place]:
            laid.outdated.add((rows[each.meter], each.logical_name))
            continue
        grid.values[place], grid.known[place] = each.value * 10**finer, True
        marks = laid.edited if each.method == EDIT else laid.estimated
        shape = grid.known.shape
        marks.setdefault(each.logical_name, np.zeros(shape, bool))[place] = True
    return laid


def _empty_grid(sheet: Sheet, like: Substitute) -> Grid:
    shape = sheet.present.shape
    grid = Grid(
        Quantity(like.logical_name, like.scaler, like.unit),
        np.zeros(shape, np.int64),
        np.zeros(shape, bool),
        np.zeros(shape, np.int16),
    )
    sheet.grids[like.logical_name] = grid
    return grid


def _wanting(laid: Overlaid) -> Iterator[tuple[int, Curve]]:
    """Yields the registers with something missing, or with estimates that may not hold."""
    sheet = laid.sheet
    for name, grid in sheet.grids.items():
        if not grid.is_register:
            continue
        estimated = laid.estimated.get(name)
        asking = ~grid.known if estimated is None else ~grid.known | estimated
        asking_rows = set(np.flatnonzero(asking.any(axis=1)).tolist())
        asking_rows |= {row for row, outdated in laid.outdated if outdated == name}
        for row in sorted(asking_rows):
            yield row, Curve(sheet.meters[row], quantities.LOAD_PROFILE, name)
