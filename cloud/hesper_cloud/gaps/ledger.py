"""Compares what is due with what is stored and keeps the rows of the gaps table true.

Runs of missing captures that no open row touches are new gaps and get their cause from what is
known at that moment; an unknown cause is replaced once there is a better one. Rows follow their run
as it grows, shrinks or splits, and a row whose captures have all arrived is closed with proof. The
whole fleet is looked at over the last days, and once a day as far back as meters remember; meters
with older open gaps are looked at one by one, when they have been heard from.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import LIVE_GAPS, Gap, Meter, MeterProfile
from hesper_cloud.gaps.causes import UNKNOWN, Causes
from hesper_cloud.gaps.expectations import UNBUFFERED, Expectations
from hesper_cloud.gaps.history import History
from hesper_cloud.gaps.proofs import Proofs
from hesper_cloud.gaps.runs import Run
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Integers, ReadingStore

FAR_BACK_S = 35 * 86_400
RECENT_S = 2 * 86_400
_DAY_S = 86_400
_NONE: Integers = np.zeros(0, dtype=np.int64)

SETTLED = "given_up"


class GapLedger:
    """Keeps the gaps table true; `check` is called from one thread at a time.

    Args:
        engine: The registry.
        store: Where readings are.
        settings: Grace and default period.
        clock: Aware UTC.
        profiles: Says of which profiles rows have been stored.
    """

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        settings: RuleSettings,
        clock: Callable[[], datetime],
        profiles: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._clock = clock
        self._profiles = profiles
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
            longest_s = Expectations(session, profile, self._settings).longest_period_s()
        start = seconds - max(look_back_s, 4 * longest_s)
        captured = self._store.captured(profile, start - longest_s, seconds + 1)
        with writing(self._engine) as session:
            meters = session.scalars(select(Meter)).all()
            look = _Look(
                session,
                profile,
                now,
                Expectations(session, profile, self._settings),
                Causes(session, meters, self._settings, now),
                _gaps_by_meter(session, profile, start),
            )
            for meter in meters:
                rows = look.rows.get(meter.id, [])
                times, since = captured.get(meter.id, _NONE), start
                if rows and rows[0].from_at.timestamp() < start:
                    since = int(rows[0].from_at.timestamp())
                    times = self._history.of(meter, profile, since - longest_s, seconds + 1)
                session.add_all(self._judge(meter, times, since, look))

    def _judge(self, meter: Meter, times: Integers, start: int, look: "_Look") -> list[Gap]:
        """Brings one meter's rows up to date and returns the new ones."""
        grid = look.expectations.grid(meter, times, start, int(look.now.timestamp()))
        if grid is None:
            return []
        judged_from = _utc(grid.time(0))
        rows = [gap for gap in look.rows.get(meter.id, []) if gap.from_at >= judged_from]
        live = [gap for gap in rows if gap.state in LIVE_GAPS]
        settled = [gap for gap in rows if gap.state == SETTLED]
        missing = grid.missing(times)
        accounted = grid.within((_epoch(gap.from_at), _epoch(gap.to_at)) for gap in settled)
        runs = grid.runs(missing & ~accounted)
        cause = look.causes.of(meter, _utc(runs[0].first)) if runs else UNKNOWN
        fresh, ended = _followed(live, runs, cause, look)
        parted, filled = _followed(settled, grid.runs(missing & accounted), UNKNOWN, look)
        for gap in (*ended, *filled):
            gap.state, gap.closed_at = "closed", look.now
            gap.proof = self._proofs.of(look.session, gap, times)
        for gap in (*fresh, *parted):
            gap.meter = meter.id
        return [*fresh, *parted]

    def _measure(self) -> None:
        with reading(self._engine) as session:
            count = session.scalar(select(func.count()).where(Gap.state.in_(LIVE_GAPS)))
        metrics.OPEN_GAPS.set(count or 0)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known when one profile of the fleet is looked at."""

    session: Session
    profile: str
    now: datetime
    expectations: Expectations
    causes: Causes
    rows: dict[str, list[Gap]]


def _gaps_by_meter(session: Session, profile: str, start: int) -> dict[str, list[Gap]]:
    """Returns live gaps, and given-up ones of the days looked at, oldest first."""
    recent = (Gap.state == SETTLED) & (Gap.to_at >= _utc(start))
    query = select(Gap).where(Gap.profile == profile, Gap.state.in_(LIVE_GAPS) | recent)
    found: dict[str, list[Gap]] = {}
    for gap in session.scalars(query.order_by(Gap.from_at)):
        found.setdefault(gap.meter, []).append(gap)
    return found


def _followed(
    rows: Iterable[Gap], runs: Sequence[Run], cause: str, look: _Look
) -> tuple[list[Gap], list[Gap]]:
    """Moves rows to the runs they touch; returns new rows, and those that no run is left of."""
    waiting = list(rows)
    before = [_As.it_was(gap) for gap in waiting]
    fresh: list[Gap] = []
    for run in runs:
        first, last = _utc(run.first), _utc(run.last)
        touching = [gap for gap in waiting if gap.from_at <= last and gap.to_at >= first]
        if touching:
            kept = touching[0]
            waiting.remove(kept)
            kept.from_at, kept.to_at, kept.expected_count = first, last, run.length
            kept.cause = cause if kept.cause == UNKNOWN else kept.cause
            continue
        origin = next((was for was in before if was.from_at <= first and last <= was.to_at), None)
        gap = Gap(profile=look.profile, from_at=first, to_at=last, expected_count=run.length)
        gap.noticed_at, gap.cause, gap.state, gap.tries = look.now, cause, "open", 0
        if origin is not None:
            origin.hand_on(gap)
        fresh.append(gap)
    return fresh, waiting


@dataclass(frozen=True, slots=True)
class _As:
    """A row before it was moved, for what splits off from it."""

    from_at: datetime
    to_at: datetime
    kept: dict[str, object]

    @classmethod
    def it_was(cls, gap: Gap) -> "_As":
        names = ("cause", "state", "noticed_at", "backfill_id", "tries", "next_try_at", "reason")
        kept = {name: getattr(gap, name) for name in (*names, "proof", "closed_at")}
        return cls(gap.from_at, gap.to_at, kept)

    def hand_on(self, gap: Gap) -> None:
        for name, value in self.kept.items():
            setattr(gap, name, value)


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _epoch(at: datetime) -> int:
    return int(at.timestamp())
