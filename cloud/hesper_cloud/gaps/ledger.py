"""Compares what is due with what is stored and keeps the rows of the gaps table true.

Runs of missing captures that no open row touches are new gaps and get their cause from what is
known at that moment; an unknown cause is replaced once there is a better one. Rows follow their run
as it grows, shrinks or splits, and a row whose captures have all arrived is closed with proof. The
whole fleet is looked at over the last days, and once a day as far back as meters remember; meters
with older open gaps are read by themselves, when they have been heard from.

A look costs little where nothing changes: what is stored is known (`captures`), what is due, stored
and in the table is compared in columns (`fleet`), and only meters whose rows differ are gone
through one by one. The registry is read on one snapshot, and the fleet gone through and written in
parts (`rows`): what gives way to ingest holds no transaction meanwhile, which would keep SQLite's
log from being emptied.

The store itself is read, some hundred meters at a time, fewer where they capture often, by the look
far back, and where nobody can know all that is stored because others write to it, too: by every
look.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.assets.service_life import NEVER_AWAY, Away, away
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import LIVE_GAPS, Gap, MeterProfile
from hesper_cloud.gaps import fleet, meters, rows
from hesper_cloud.gaps.captures import AHEAD_S, Captures
from hesper_cloud.gaps.causes import Causes
from hesper_cloud.gaps.expectations import UNBUFFERED, Expectations, longest_period_s
from hesper_cloud.gaps.history import History
from hesper_cloud.gaps.judging import judged
from hesper_cloud.gaps.kept import NONE
from hesper_cloud.gaps.looks import Look, Resting, Span, utc
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.gaps.proofs import Proofs
from hesper_cloud.gaps.rows import Outcome
from hesper_cloud.giving_way import NO_RESTS, GivesWay
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Integers, ReadingStore

_DAY_S = 86_400
_FAR_BACK_AT_ONCE = 500


class GapLedger:
    """Keeps the gaps table true; `check` is called from one thread at a time.

    Args:
        engine: The registry.
        store: Where readings are.
        settings: Grace and default period.
        clock: Aware UTC.
        profiles: Says of which profiles rows have been stored.
        giving_way: Rests between portions of the fleet.
        captures: What is stored of the recent days; None: the store is read at each look.
    """

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        settings: RuleSettings,
        clock: Callable[[], datetime],
        profiles: Callable[[], Collection[str]] = tuple,
        giving_way: GivesWay = NO_RESTS,
        captures: Captures | None = None,
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._clock = clock
        self._profiles = profiles
        self._giving_way = giving_way
        self._captures = captures
        self._looked_at = 0
        self._looked_far_back_at: int | None = None
        self._resting: dict[str, dict[str, Resting]] = {}  # by profile and meter
        self._history = History(store)
        self._proofs = Proofs(store)

    def check(self) -> None:
        """Opens, moves and closes gaps by what is stored now; all of it if the clock was ahead."""
        now = self._clock()
        seconds, last = int(now.timestamp()), self._looked_far_back_at
        far_back = last is None or seconds - last >= _DAY_S or seconds < self._looked_at
        for profile in sorted(self._watched()):
            self._check(profile, now, far_back=far_back)
        self._history.forget_unused()
        if far_back:
            self._looked_far_back_at = seconds
        self._looked_at = seconds
        self._measure()

    def _watched(self) -> set[str]:
        with reading(self._engine) as session:
            announced = set(session.scalars(select(MeterProfile.profile).distinct()))
        return (announced | set(self._profiles()) | {LOAD_PROFILE}) - UNBUFFERED

    def _check(self, profile: str, now: datetime, *, far_back: bool) -> None:
        with reading(self._engine) as session:
            longest_s = longest_period_s(session, profile, self._settings)
            span = Span.of(int(now.timestamp()), longest_s, far_back=far_back)
            every = meters.fleet(session)
            look = Look(
                *(profile, now, span),
                Expectations(session, profile, self._settings),
                Causes(self._engine, profile, every, self._settings, now),
                rows.by_meter(session, profile, span.start),
                self._resting.setdefault(profile, {}),
            )
        if far_back:
            look.resting.clear()
        if self._captures is not None:
            self._captures.keep(profile, span.kept_s)
            if not far_back:
                self._read_new(self._captures, look, every)
        for part in look.parts(every, lambda: self._at_once(look)):
            self._look_at(look, part)
        if self._captures is not None and far_back:
            self._captures.trim(profile, span.now - span.kept_s)

    def _read_new(self, captures: Captures, look: Look, every: Sequence[FleetMeter]) -> None:
        """Reads of meters that are new what was stored of them before."""
        unread = set(captures.unread(look.profile, [meter.id for meter in every]))
        new = [meter for meter in every if meter.id in unread]
        at_once = self._store.meters_at_once
        for some in self._giving_way.portions(look.parts(new, lambda: at_once)):
            self._reread(captures, look, [meter.id for meter in some])

    def _at_once(self, look: Look) -> int:
        most = _FAR_BACK_AT_ONCE if look.span.is_far_back else fleet.AT_ONCE
        return most if self._captures is None else self._captures.at_once(look.profile, most)

    def _look_at(self, look: Look, part: Sequence[FleetMeter]) -> None:
        """Finds what becomes of the rows of some meters, and writes it."""
        outcomes: list[Outcome] = []
        for some in self._giving_way.portions([part]):
            outcomes = self._outcomes(look, list(self._cases(look, self._in_question(look, some))))
        look.expectations.learned.write(self._engine, self._giving_way)
        changed = [outcome for outcome in outcomes if any(outcome)]
        rows.write(self._engine, changed, look.now, self._giving_way)

    def _in_question(self, look: Look, part: Sequence[FleetMeter]) -> Sequence[FleetMeter]:
        """Returns the meters of which something came, went, or became due since the last look."""
        if self._captures is None or look.span.is_far_back:
            return part
        news = self._captures.news(look.profile, [meter.id for meter in part]).tolist()
        return [
            meter for meter, new in zip(part, news, strict=True) if not look.rests(meter, news=new)
        ]

    def _captured(self, look: Look, names: Sequence[str]) -> Mapping[str, Integers]:
        """Returns what is stored of meters over the span."""
        span, captures = look.span, self._captures
        if captures is None:
            return self._store.captured(look.profile, span.read_from, span.now + 1, names)
        unread = names if span.is_far_back else captures.unread(look.profile, names)
        if unread:
            found = self._reread(captures, look, unread)
            if span.is_far_back:
                return {
                    meter: times[: np.searchsorted(times, span.now, side="right")]
                    for meter, times in found.items()
                }
        return captures.times(look.profile, names, span.read_from, span.now + 1)

    def _reread(
        self, captures: Captures, look: Look, names: Sequence[str]
    ) -> Mapping[str, Integers]:
        span = look.span
        return captures.reread(
            *(look.profile, names, span.now - span.kept_s),
            lambda: self._store.captured(look.profile, span.read_from, span.now + AHEAD_S, names),
        )

    def _cases(self, look: Look, every: Sequence[FleetMeter]) -> Iterator[fleet.Case]:
        """Yields the meters of which something is known to be due."""
        captured = self._captured(look, [meter.id for meter in every])
        start, now = look.span.start, look.span.now
        ahead_s = start - look.span.read_from
        for meter in every:
            listed = look.rows.get(meter.id, ())
            times, since = captured.get(meter.id, NONE), start
            if listed:
                half_s = look.expectations.told_period_s(meter) // 2  # its second may have moved
                since = min(start, listed[0].first - half_s)
            if since < start:
                times = self._history.of(meter, look.profile, since - ahead_s, now + 1)
            due = look.expectations.due(meter, times, since, now)
            if due is not None:
                doubtful = bool(listed) and look.is_doubtful(meter, listed)
                yield fleet.Case(meter, times, due, listed, doubtful)

    def _outcomes(self, look: Look, cases: Sequence[fleet.Case]) -> list[Outcome]:
        whole: dict[str, int] = {}
        found = list(fleet.findings(cases, whole))
        with reading(self._engine) as session:
            absences = away(session, [each.case.meter.id for each in found]) if found else {}
            outcomes = [self._judged(each, look, session, absences) for each in found]
        look.let_rest(cases, whole)
        return outcomes

    def _judged(
        self, finding: fleet.Finding, look: Look, session: Session, absences: Mapping[str, Away]
    ) -> Outcome:
        """Says what becomes of one meter's rows."""
        meter = finding.case.meter
        found = judged(
            finding,
            look.profile,
            lambda run: look.causes.of(meter, utc(run.first)),
            absences.get(meter.id, NEVER_AWAY),
        )
        closed = [(row, self._proofs.of(session, row, count)) for row, count in found.closed]
        return Outcome(found.fresh, found.moved, closed, found.dropped)

    def _measure(self) -> None:
        with reading(self._engine) as session:
            count = session.scalar(select(func.count()).where(Gap.state.in_(LIVE_GAPS)))
        metrics.OPEN_GAPS.set(count or 0)
