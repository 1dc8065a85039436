"""One turn of validation and aggregation: from marked days to rows of the energy book.

Theory of operation. Marks name UTC days; the local days that they touch are worked on, those on
which captures count. Days of the same length, period and kind of meter are read together, as many
meters at a time as suits the store. Sheets of hundreds are cut from that, for the checks, and
ingest gets its turn in between. Of each estimates are renewed where something is missing; other
days whose estimates changed by that join the work. Then the sheet, substitutes laid over it, is
judged and summed, and its rows replace what the book holds. Marks are removed last: a turn that was
killed is done again, with the same result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine

from hesper_cloud import quantities
from hesper_cloud.aggregates import calendar, neighbours, pages
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.overlay import Overlaid, overlay
from hesper_cloud.aggregates.roster import Member, members
from hesper_cloud.aggregates.whole import not_fewer, whole_from
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.giving_way import NO_RESTS, GivesWay
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import Integers, ReadingStore
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.filling import renewal
from hesper_cloud.validation.judge import judge
from hesper_cloud.validation.misread import Misread
from hesper_cloud.validation.sheet import Sheet, alike, lay_out
from hesper_cloud.validation.substitutes import Curve, Renewal
from hesper_cloud.validation.surroundings import Span, Surroundings, far, silent_after

MARKS_PER_TURN = 20_000
_METERS_PER_SHEET = 250
_ESTIMATES_AT_ONCE = 250
_DAY_S = 86_400
_SHORTEST_GRACE_S = 30
_FEWEST_CAPTURES = 2  # an interval lies between them


@dataclass(frozen=True, slots=True)
class Sitting:
    """Days that share a sheet: one local day, one period, one type of meter."""

    day: date
    zone: ZoneInfo
    period_s: int
    meter_type: str | None


@dataclass(frozen=True, slots=True)
class Seated:
    """Some meters of a sitting, and what is stored of them.

    Attributes:
        sitting: What they share.
        meters: They.
        stored: The day.
        ends: Its first capture with the one before, its last with the one after.
        silent: The meters of which nothing is stored after the day.
    """

    sitting: Sitting
    meters: Sequence[Member]
    stored: Sheet
    ends: Sequence[Sheet]
    silent: frozenset[str]


class Work:
    """Works marked days off; `turn` is called from one thread at a time."""

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
        """Works on days; returns those of other sheets whose estimates or sums this may change."""
        elsewhere: set[tuple[str, date]] = set()
        whole = self._still_whole(days, known)
        for seated in self._giving_way.portions(self._seated(whole, known)):
            laid = self._overlaid(seated)
            if renewing and (changed := self._renewed(seated, laid)):
                elsewhere |= {each for each in changed if each[1] != seated.sitting.day}
                laid = self._overlaid(seated)
            if renewing:
                for meter, further in neighbours.reaching_out(laid.sheet):
                    elsewhere.add((meter, seated.sitting.day + timedelta(days=further)))
            self._write(seated, laid)
        return elsewhere

    def _still_whole(
        self, days: set[tuple[str, date]], known: dict[str, Member]
    ) -> set[tuple[str, date]]:
        """Leaves out days of which readings may have left the store: their sums stay."""
        whole = whole_from(self._engine, self._settings.store.retention, self._clock())
        return {
            (meter, day)
            for meter, day in days
            if calendar.midnight(day, known[meter].zone) >= whole
        }

    def _seated(self, days: set[tuple[str, date]], known: dict[str, Member]) -> Iterator[Seated]:
        """Yields the meters that can share a sheet, some hundred at a time, as far as is due."""
        for sitting, names in _sittings(days, known, self._store.meters_at_once):
            for stored, *ends in self._stored(sitting, names):
                silent = self._silent(sitting, stored)
                for start in range(0, len(stored.meters), _METERS_PER_SHEET):
                    rows = slice(start, start + _METERS_PER_SHEET)
                    meters = [known[name] for name in stored.meters[rows]]
                    of_ends = [each.of(rows) for each in ends]
                    yield Seated(sitting, meters, stored.of(rows), of_ends, silent)

    def _stored(self, sitting: Sitting, names: Sequence[str]) -> Iterator[list[Sheet]]:
        """Yields what is stored of a sitting up to now, and at its ends; nothing if none is due."""
        now = int(self._clock().timestamp())
        times = calendar.captures(sitting.day, sitting.zone, sitting.period_s)
        times = times[times <= now - max(_SHORTEST_GRACE_S, sitting.period_s)]
        if len(times) < _FEWEST_CAPTURES:
            return
        laid = (times, *neighbours.at_ends(times, sitting.period_s))
        first, last = _around(np.unique(np.concatenate(laid)), sitting.period_s)
        parts = list(self._store.rows(quantities.LOAD_PROFILE, first, last + 1, names))
        span = _around(times, sitting.period_s)
        with reading(self._engine) as session:
            held = substitutes.quantities(session, names, quantities.LOAD_PROFILE, *span)
        for some in alike(parts, held, names, times, sitting.period_s):
            if times[0] < self._settings.store.retention.horizon(self._clock()):
                some = not_fewer(self._book, lay_out(parts, some, times, sitting.period_s))
            yield [lay_out(parts, some, each, sitting.period_s) for each in laid]

    def _silent(self, sitting: Sitting, stored: Sheet) -> frozenset[str]:
        """Returns the meters of which nothing is known after a day that is not over yet."""
        span = _span(sitting, stored)
        if span.end == calendar.day_end(sitting.day, sitting.zone):
            return frozenset()
        rules = self._settings.validation.estimation
        with reading(self._engine) as session:
            return frozenset(silent_after(session, self._store, stored.meters, span, rules))

    def _overlaid(self, seated: Seated) -> Overlaid:
        """Lays the substitutes that hold now over a copy of what is stored."""
        return self._laid_over(seated.stored.of(slice(None)), seated.meters)

    def _laid_over(self, sheet: Sheet, meters: Sequence[Member]) -> Overlaid:
        first, last = _around(sheet.times, sheet.period_s)
        with reading(self._engine) as session:
            held = substitutes.current(session, sheet.meters, quantities.LOAD_PROFILE, first, last)
        return overlay(sheet, meters, held)

    def _misread(self, seated: Seated, laid: Overlaid) -> Mapping[str, Misread]:
        """Returns by logical name what registers were read wrong, as the days around tell, too."""
        limits = self._settings.validation.of(seated.sitting.meter_type)
        ends = [self._laid_over(each, seated.meters).sheet for each in seated.ends]
        asking = [neighbours.falls_or_leaps(each, limits) for each in (laid.sheet, *ends)]
        rows: list[int] = np.flatnonzero(np.logical_or.reduce(asking)).tolist()
        if not rows:
            return {}
        wide = self._days_around(seated.sitting, [seated.meters[row] for row in rows])
        return neighbours.misread_by(laid.sheet, limits, rows, wide)

    def _days_around(self, sitting: Sitting, meters: Sequence[Member]) -> Sheet:
        """Returns what counts of some meters from the day before to the day after."""
        days = (sitting.day + timedelta(days=each) for each in (-1, 0, 1))
        captures = (calendar.captures(day, sitting.zone, sitting.period_s) for day in days)
        times = np.unique(np.concatenate(list(captures)))
        first, last = _around(times, sitting.period_s)
        names = [each.meter for each in meters]
        parts = self._store.rows(quantities.LOAD_PROFILE, first, last + 1, names)
        return self._laid_over(lay_out(parts, names, times, sitting.period_s), meters).sheet

    def _renewed(self, seated: Seated, laid: Overlaid) -> set[tuple[str, date]]:
        """Renews estimates where captures are missing; returns the days that this changed.

        What they rest on is read and worked out while nobody waits for the registry; it is written
        some registers at a time.
        """
        changed: set[tuple[str, date]] = set()
        for some in self._giving_way.portions(_in_portions(self._renewals(seated, laid))):
            with writing(self._engine) as session:
                for each in some:
                    times = substitutes.renew_estimates(session, each, self._clock())
                    for at in times | each.misread:
                        days = calendar.touched_days(at, at, seated.sitting.zone)
                        changed.update((each.curve.meter, day) for day in days)
        return changed

    def _renewals(self, seated: Seated, laid: Overlaid) -> Iterator[Renewal]:
        """Yields what the estimates of a sheet's registers should be."""
        validation = self._settings.validation
        limits = validation.of(seated.sitting.meter_type)
        span = _span(seated.sitting, laid.sheet)
        for curve, around in self._surroundings(seated, laid, span):
            yield renewal(around, curve, span, validation, limits)

    def _surroundings(
        self, seated: Seated, laid: Overlaid, span: Span
    ) -> Iterator[tuple[Curve, Surroundings]]:
        """Yields the registers to renew, and what that needs: the sheet's where it is enough."""
        rules = self._settings.validation.estimation
        is_silent = np.array([meter in seated.silent for meter in laid.sheet.meters], dtype=bool)
        others = []
        for row, curve in list(laid.wanting(is_silent)):
            around = laid.surroundings(
                row, curve, rules.interpolate_up_to_s, silent_after=curve.meter in seated.silent
            )
            if around is None:
                others.append(curve)
            else:
                yield curve, around
        yield from far(self._engine, self._store, others, span, rules)

    def _write(self, seated: Seated, laid: Overlaid) -> None:
        """Judges and sums a sheet, and puts its rows into the book."""
        sitting, limits = seated.sitting, self._settings.validation.of(seated.sitting.meter_type)
        wrong = self._misread(seated, laid)
        verdicts = judge(laid.sheet, limits, wrong)
        written = {
            "days": pages.days(laid, sitting.day, limits, wrong),
            "scores": pages.scores(laid, verdicts, laid.due, sitting.day),
            "verdicts": pages.verdicts(laid.sheet, verdicts, laid.due, sitting.day),
        }
        worked = pages.worked(laid.sheet.meters, sitting.day)
        self._book.replace(worked, written, self._clock())


def _in_portions(renewals: Iterable[Renewal]) -> Iterator[list[Renewal]]:
    """Yields renewals some at a time: fewer where there is more to write."""
    some: list[Renewal] = []
    weight = 0
    for each in renewals:
        some.append(each)
        weight += 1 + len(each.wanted) + len(each.before)
        if weight >= _ESTIMATES_AT_ONCE:
            yield some
            some, weight = [], 0
    if some:
        yield some


def _around(times: Integers, period_s: int) -> tuple[int, int]:
    """Returns between which captures, both included, may belong to due times."""
    return int(times[0]) - period_s // 2, int(times[-1]) + period_s // 2


def _span(sitting: Sitting, sheet: Sheet) -> Span:
    return Span(int(sheet.times[0]), int(sheet.times[-1]), sitting.period_s, sitting.zone)


def _sittings(
    days: Iterable[tuple[str, date]], known: dict[str, Member], at_once: int
) -> Iterator[tuple[Sitting, Sequence[str]]]:
    """Yields the meters that are read together."""
    together: dict[Sitting, list[str]] = {}
    for meter, day in sorted(days):
        member = known[meter]
        key = Sitting(day, member.zone, member.period_on(day), member.meter_type)
        together.setdefault(key, []).append(meter)
    for sitting, names in together.items():
        for some in batched(names, at_once):
            yield sitting, some
