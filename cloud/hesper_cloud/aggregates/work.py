"""One turn of validation and aggregation: from marked days to rows of the energy book.

Theory of operation. Marks name UTC days; the local days that they touch are worked on, those on
which captures count. Days of the same length, period and kind of meter share a sheet, so that the
checks run over hundreds of meters at once, and ingest gets its turn in between. Of each sheet
estimates are renewed where something is missing; other days whose estimates changed by that join
the work. Then the sheet, substitutes laid over it, is judged and summed, and its rows replace what
the book holds. Marks are removed last: a turn that was killed is done again, with the same result.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.aggregates import calendar, pages
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.overlay import Overlaid, due_captures, overlay
from hesper_cloud.aggregates.roster import Member, members
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.giving_way import AT_ONCE, GivesWay
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.filling import refill
from hesper_cloud.validation.judge import judge
from hesper_cloud.validation.sheet import lay_out
from hesper_cloud.validation.substitutes import Curve
from hesper_cloud.validation.surroundings import Span, Surroundings, far, silent_after

MARKS_PER_TURN = 20_000
_METERS_PER_SHEET = 250
_DAY_S = 86_400
_SHORTEST_GRACE_S = 30


@dataclass(frozen=True, slots=True)
class Sitting:
    """Days that share a sheet: one local day, one period, one type of meter."""

    day: date
    zone: ZoneInfo
    period_s: int
    meter_type: str | None


class Work:
    """Works marked days off; `turn` is called from one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        book: EnergyBook,
        settings: Settings,
        clock: Callable[[], datetime],
        giving_way: GivesWay = AT_ONCE,
    ) -> None:
        self._engine = engine
        self._store = store
        self._book = book
        self._settings = settings
        self._clock = clock
        self._giving_way = giving_way

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
        changed = self._worked(days, known, renewing=True)
        self._worked(changed, known, renewing=False)
        with writing(self._engine) as session:
            dirty.settled(session, marks)
        return len(marks)

    def _worked(
        self, days: set[tuple[str, date]], known: dict[str, Member], *, renewing: bool
    ) -> set[tuple[str, date]]:
        """Works on days; returns those of other sheets whose estimates this has changed."""
        elsewhere: set[tuple[str, date]] = set()
        for sitting, names in self._giving_way.portions(_sittings(days, known)):
            meters = [known[name] for name in names]
            laid = self._overlaid(sitting, meters)
            if laid is None:
                continue
            if renewing and (changed := self._renewed(sitting, laid)):
                elsewhere |= {each for each in changed if each[1] != sitting.day}
                laid = self._overlaid(sitting, meters)
            if laid is not None:
                self._write(sitting, laid)
        return elsewhere

    def _renewed(self, sitting: Sitting, laid: Overlaid) -> set[tuple[str, date]]:
        """Renews estimates where captures are missing; returns the days that this changed."""
        validation, times = self._settings.validation, laid.sheet.times
        span = Span(int(times[0]), int(times[-1]), sitting.period_s, sitting.zone)
        with writing(self._engine) as session:
            return {
                (curve.meter, day)
                for curve, around in self._surroundings(session, sitting, laid, span)
                for at in refill(session, around, curve, span, validation)
                for day in calendar.touched_days(at, at, sitting.zone)
            }

    def _surroundings(
        self, session: Session, sitting: Sitting, laid: Overlaid, span: Span
    ) -> Iterator[tuple[Curve, Surroundings]]:
        """Yields the registers to renew, and what that needs: the sheet's where it is enough."""
        rules, meters = self._settings.validation.estimation, laid.sheet.meters
        silent: set[str] = set()
        if span.end < calendar.day_end(sitting.day, sitting.zone):
            silent = silent_after(session, self._store, meters, span, rules)
        is_silent = np.array([meter in silent for meter in meters], dtype=bool)
        others = []
        for row, curve in list(laid.wanting(is_silent)):
            around = laid.surroundings(
                row, curve, rules.interpolate_up_to_s, silent_after=curve.meter in silent
            )
            if around is None:
                others.append(curve)
            else:
                yield curve, around
        yield from far(session, self._store, others, span, rules)

    def _write(self, sitting: Sitting, laid: Overlaid) -> None:
        """Judges and sums a sheet, and puts its rows into the book."""
        limits = self._settings.validation.of(sitting.meter_type)
        verdicts = judge(laid.sheet, limits)
        written = {
            "days": pages.days(laid.sheet, laid.estimated, sitting.day, limits),
            "scores": pages.scores(laid, verdicts, laid.due, sitting.day),
            "verdicts": pages.verdicts(laid.sheet, verdicts, laid.due, sitting.day),
        }
        worked = pages.worked(laid.sheet.meters, sitting.day)
        self._book.replace(worked, written, self._clock())

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
        due = due_captures(sheet, meters)
        return overlay(sheet, due, held)


def _sittings(
    days: Iterable[tuple[str, date]], known: dict[str, Member]
) -> Iterator[tuple[Sitting, list[str]]]:
    """Yields the meters that can share a sheet, some hundred at a time."""
    together: dict[Sitting, list[str]] = {}
    for meter, day in sorted(days):
        member = known[meter]
        key = Sitting(day, member.zone, member.period_s, member.meter_type)
        together.setdefault(key, []).append(meter)
    for sitting, names in together.items():
        for start in range(0, len(names), _METERS_PER_SHEET):
            yield sitting, names[start : start + _METERS_PER_SHEET]
