"""Compares what is due with what is stored and keeps the rows of the gaps table true.

Runs of missing captures that no open row touches are new gaps and get their cause from what is
known at that moment; an unknown cause is replaced once there is a better one. Rows follow their run
as it grows, shrinks or splits, and a row whose captures have all arrived is closed with proof. The
whole fleet is looked at over the last days, and once a day as far back as meters remember; meters
with older open gaps are read by themselves, when they have been heard from.

A look costs little where nothing changes: what is due, stored and in the table is compared in
columns (`fleet`), and only meters whose rows differ are gone through one by one. The registry is
read on one snapshot, gone through and written afterwards, in parts (`rows`): what gives way to
ingest holds no transaction meanwhile, which would keep SQLite's log from being emptied.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import LIVE_GAPS, Gap, MeterProfile
from hesper_cloud.gaps import fleet, meters, rows
from hesper_cloud.gaps.causes import UNKNOWN, Causes
from hesper_cloud.gaps.expectations import UNBUFFERED, Expectations, longest_period_s
from hesper_cloud.gaps.following import follow
from hesper_cloud.gaps.history import History
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.gaps.proofs import Proofs
from hesper_cloud.gaps.rows import SETTLED, GapRow, Outcome
from hesper_cloud.giving_way import AT_ONCE, GivesWay
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Integers, ReadingStore

FAR_BACK_S = 35 * 86_400
RECENT_S = 2 * 86_400
_DAY_S = 86_400
_NONE: Integers = np.zeros(0, dtype=np.int64)


class GapLedger:
    """Keeps the gaps table true; `check` is called from one thread at a time.

    Args:
        engine: The registry.
        store: Where readings are.
        settings: Grace and default period.
        clock: Aware UTC.
        profiles: Says of which profiles rows have been stored.
        giving_way: Rests between portions of the fleet.
    """

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        settings: RuleSettings,
        clock: Callable[[], datetime],
        profiles: Callable[[], Collection[str]] = tuple,
        giving_way: GivesWay = AT_ONCE,
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._clock = clock
        self._profiles = profiles
        self._giving_way = giving_way
        self._looked_far_back_at: int | None = None
        self._history = History(store)
        self._proofs = Proofs(store)

    def check(self) -> None:
        """Opens, moves and closes gaps by what is stored now."""
        now = self._clock()
        seconds = int(now.timestamp())
        last = self._looked_far_back_at
        far_back = last is None or seconds - last >= _DAY_S
        for profile in sorted(self._watched()):
            self._check(profile, now, FAR_BACK_S if far_back else RECENT_S)
        if far_back:
            self._looked_far_back_at = seconds
        self._measure()

    def _watched(self) -> set[str]:
        with reading(self._engine) as session:
            announced = set(session.scalars(select(MeterProfile.profile).distinct()))
        return (announced | set(self._profiles()) | {LOAD_PROFILE}) - UNBUFFERED

    def _check(self, profile: str, now: datetime, look_back_s: int) -> None:
        seconds = int(now.timestamp())
        with reading(self._engine) as session:
            longest_s = longest_period_s(session, profile, self._settings)
        start = seconds - max(look_back_s, 4 * longest_s)
        captured = self._store.captured(profile, start - longest_s, seconds + 1)
        with reading(self._engine) as session:
            every = meters.fleet(session)
            look = _Look(
                *(profile, now, start - longest_s),
                Expectations(session, profile, self._settings),
                Causes(session, every, self._settings, now),
                rows.by_meter(session, profile, start),
            )
        outcomes = [
            outcome
            for part in self._giving_way.portions(batched(every, fleet.AT_ONCE))
            for outcome in self._outcomes(look, list(self._cases(look, part, captured, start)))
        ]
        look.expectations.learned.write(self._engine, self._giving_way)
        rows.write(
            self._engine, [outcome for outcome in outcomes if any(outcome)], now, self._giving_way
        )

    def _cases(
        self, look: "_Look", every: Sequence[FleetMeter], captured: dict[str, Integers], start: int
    ) -> Iterator[fleet.Case]:
        """Yields the meters of which something is known to be due."""
        seconds = int(look.now.timestamp())
        ahead_s = start - look.read_from
        for meter in every:
            listed = look.rows.get(meter.id, ())
            times, since = captured.get(meter.id, _NONE), start
            if listed and listed[0].first < start:
                since = listed[0].first
                times = self._history.of(meter, look.profile, since - ahead_s, seconds + 1)
            due = look.expectations.due(meter, times, since, seconds)
            if due is not None:
                doubtful = bool(listed) and look.is_doubtful(meter, listed)
                yield fleet.Case(meter, times, due, listed, doubtful)

    def _outcomes(self, look: "_Look", cases: Sequence[fleet.Case]) -> list[Outcome]:
        with reading(self._engine) as session:
            return [self._judged(each, look, session) for each in fleet.findings(cases)]

    def _judged(self, finding: fleet.Finding, look: "_Look", session: Session) -> Outcome:
        """Says what becomes of one meter's rows."""
        case, grid, runs = finding
        listed = [row for row in case.rows if row.first >= grid.time(0)]
        settled = [row for row in listed if row.state == SETTLED]
        given_up = []
        if settled:
            missing = grid.missing(case.times)
            accounted = grid.within((row.first, row.last) for row in settled)
            runs, given_up = grid.runs(missing & ~accounted), grid.runs(missing & accounted)
        cause = look.causes.of(case.meter, _utc(runs[0].first)) if runs else UNKNOWN
        new = GapRow(None, case.meter.id, look.profile, 0, 0, 0, cause)
        live = follow([row for row in listed if row.state in LIVE_GAPS], runs, new)
        parted = follow(settled, given_up, replace(new, cause=UNKNOWN))
        return Outcome(
            [*live.fresh, *parted.fresh],
            [*live.moved, *parted.moved],
            [
                (row, self._proofs.of(session, row, case.times))
                for row in (*live.ended, *parted.ended)
            ],
        )

    def _measure(self) -> None:
        with reading(self._engine) as session:
            count = session.scalar(select(func.count()).where(Gap.state.in_(LIVE_GAPS)))
        metrics.OPEN_GAPS.set(count or 0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known when one profile of the fleet is looked at."""

    profile: str
    now: datetime
    read_from: int
    expectations: Expectations
    causes: Causes
    rows: dict[str, list[GapRow]]

    def is_doubtful(self, meter: FleetMeter, listed: Sequence[GapRow]) -> bool:
        """Says whether rows may have to change even if they are what is missing.

        Given-up captures count apart; an unknown cause may be known by now.
        """
        if any(row.state == SETTLED for row in listed):
            return True
        if all(row.cause != UNKNOWN for row in listed):
            return False
        return self.causes.of(meter, _utc(listed[-1].first)) != UNKNOWN


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
