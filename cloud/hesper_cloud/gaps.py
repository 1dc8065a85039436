"""The gap ledger: every capture that should be in the store and is not, with a cause.

Theory of operation. A meter captures its load profile every ``capture_period_s``, at times that
share one phase (normally multiples of the period). Between its first stored capture and a grace
time before now, each period without a stored capture is missing; runs of missing periods are gaps.
`GapLedger.check` compares these runs with the open rows of the ledger: a run that no open row
touches is a new gap and gets its cause from what is known at that moment (the gateway's presence,
the events by which it says where its visits stop, who is silent); an unknown cause is replaced once
there is a better one. Rows follow their run as it grows, shrinks or splits, and a row whose
captures have all arrived is closed. The first check looks back as far as meters remember, later
ones at the last two days and at whatever is open.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Event, Gap, Gateway, Meter
from hesper_cloud.rules.silence import patience
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Integers, ReadingStore

PROFILE = "1.0.99.1.0.255"
FAR_BACK_S = 35 * 86_400
RECENT_S = 2 * 86_400
_DAY_S = 86_400
_MIN_GRACE_S = 30
_FEWEST_TO_LEARN = 8

SILENT_METER = "silent meter"
GATEWAY_OFFLINE = "gateway offline"
LINE = "line"
LINE_HOPS = {LINE, "modem"}
"""Where a gateway's visit stops when the way to the meter is at fault."""
UNKNOWN = "unknown"

UNREACHABLE, REACHABLE = "meter.unreachable", "meter.reachable"


class Run(NamedTuple):
    """Consecutive missing captures: first and last in epoch seconds, and how many."""

    first: int
    last: int
    length: int


def missing_runs(captured: Integers, period_s: int, start: int, end: int) -> list[Run]:
    """Returns the runs of missing captures with ``start <= capture <= end``.

    Args:
        captured: Stored capture times, ascending; at least one.
        period_s: The capture period.
        start: No capture is expected before; epoch seconds.
        end: No capture is expected after; epoch seconds.
    """
    phase = _phase(captured, period_s)
    first = -(-(start - phase) // period_s)
    last = (end - phase) // period_s
    if last < first:
        return []
    present = np.zeros(last - first + 1, dtype=bool)
    slots = (captured - phase + period_s // 2) // period_s - first
    present[slots[(slots >= 0) & (slots < len(present))]] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], present, [True]]).astype(np.int8)))
    return [
        Run(
            int(first + begin) * period_s + phase,
            int(first + after - 1) * period_s + phase,
            int(after - begin),
        )
        for begin, after in zip(edges[::2], edges[1::2], strict=True)
    ]


def _phase(captured: Integers, period_s: int) -> int:
    """Returns the commonest remainder: a few captures may be late, the rest tell the phase."""
    remainders, counts = np.unique(captured % period_s, return_counts=True)
    return int(remainders[counts.argmax()])


def learned_period(captured: Integers) -> int | None:
    """Returns the commonest distance between captures, if there are enough to tell."""
    if len(captured) < _FEWEST_TO_LEARN:
        return None
    distances, counts = np.unique(np.diff(captured), return_counts=True)
    return int(distances[counts.argmax()])


class GapLedger:
    """Keeps the gaps table true; `check` is called from one thread at a time."""

    def __init__(
        self,
        engine: Engine,
        store: ReadingStore,
        settings: RuleSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._store = store
        self._settings = settings
        self._clock = clock
        self._looked_far_back = False

    def check(self) -> None:
        """Opens, moves and closes gaps by what is stored now."""
        now = self._clock()
        start = self._start(int(now.timestamp()))
        captured = self._store.captured(PROFILE, start, int(now.timestamp()) + 1)
        with writing(self._engine) as session:
            meters = session.scalars(select(Meter)).all()
            gateways = {row.id: row for row in session.scalars(select(Gateway))}
            open_gaps = _open_by_meter(session)
            causes = _Causes(meters, gateways, _stopped_at(session, now), self._settings)
            for meter in meters:
                times = captured.get(meter.id)
                if times is None or not len(times):
                    continue
                judged_from = _utc(int(times[0]))
                rows = [gap for gap in open_gaps.get(meter.id, []) if gap.from_at >= judged_from]
                runs = self._runs(meter, times, int(now.timestamp()))
                for gap in _reconciled(rows, runs, causes.of(meter, now), now):
                    gap.meter = meter.id
                    session.add(gap)
        self._looked_far_back = True
        self._measure()

    def _start(self, now: int) -> int:
        usual = now - (RECENT_S if self._looked_far_back else FAR_BACK_S)
        with reading(self._engine) as session:
            oldest = session.scalars(
                select(Gap.from_at).where(Gap.state == "open").order_by(Gap.from_at).limit(1)
            ).first()
        return usual if oldest is None else min(usual, int(oldest.timestamp()) - _DAY_S)

    def _runs(self, meter: Meter, times: Integers, now: int) -> list[Run]:
        if meter.capture_period_s is None:
            meter.capture_period_s = learned_period(times)
        period_s = meter.capture_period_s or self._settings.default_capture_period_s
        grace_s = self._settings.gap_grace_s or max(_MIN_GRACE_S, period_s)
        return missing_runs(times, period_s, int(times[0]), now - grace_s)

    def _measure(self) -> None:
        with reading(self._engine) as session:
            metrics.OPEN_GAPS.set(
                len(session.scalars(select(Gap.id).where(Gap.state == "open")).all())
            )


def _open_by_meter(session: Session) -> dict[str, list[Gap]]:
    found: dict[str, list[Gap]] = {}
    for gap in session.scalars(select(Gap).where(Gap.state == "open").order_by(Gap.from_at)):
        found.setdefault(gap.meter, []).append(gap)
    return found


def _reconciled(
    rows: Sequence[Gap], runs: Sequence[Run], cause: str, now: datetime
) -> Iterator[Gap]:
    """Moves a meter's open rows to the runs they touch, closes the rest, yields what is new."""
    before = [(gap.from_at, gap.to_at, gap.cause) for gap in rows]
    waiting = list(rows)
    for run in runs:
        first, last = _utc(run.first), _utc(run.last)
        touching = [gap for gap in waiting if gap.from_at <= last and gap.to_at >= first]
        if touching:
            kept = touching[0]
            waiting.remove(kept)
            kept.from_at, kept.to_at, kept.expected_count = first, last, run.length
            kept.cause = cause if kept.cause == UNKNOWN else kept.cause
            continue
        parted_from = [why for start, end, why in before if start <= first and last <= end]
        yield Gap(
            profile=PROFILE,
            from_at=first,
            to_at=last,
            expected_count=run.length,
            cause=parted_from[0] if parted_from else cause,
            state="open",
            noticed_at=now,
        )
    for gap in waiting:
        gap.state, gap.closed_at = "closed", now


def _stopped_at(session: Session, now: datetime) -> dict[str, str]:
    """Returns where the gateways' last visits stopped, for the meters that they cannot reach."""
    told = session.scalars(
        select(Event)
        .where(Event.code.in_((UNREACHABLE, REACHABLE)))
        .where(Event.occurred_at > now - timedelta(seconds=RECENT_S), Event.occurred_at <= now)
        .order_by(Event.occurred_at)
    )
    newest = {event.meter: event for event in told if event.meter is not None}
    return {
        meter: str(event.attributes.get("hop"))
        for meter, event in newest.items()
        if event.code == UNREACHABLE
    }


class _Causes:
    """Why a meter's captures are missing now, as far as the registry can tell."""

    def __init__(
        self,
        meters: Iterable[Meter],
        gateways: dict[str, Gateway],
        stopped_at: dict[str, str],
        settings: RuleSettings,
    ) -> None:
        self._gateways = gateways
        self._stopped_at = stopped_at
        self._settings = settings
        self._behind: dict[str | None, list[Meter]] = {}
        for meter in meters:
            self._behind.setdefault(meter.gateway_id, []).append(meter)

    def of(self, meter: Meter, now: datetime) -> str:
        """Returns the cause to write beside a gap that is noticed now."""
        gateway = self._gateways.get(meter.gateway_id or "")
        if gateway is not None and gateway.state == "offline":
            return GATEWAY_OFFLINE
        if meter.id in self._stopped_at:
            return LINE if self._stopped_at[meter.id] in LINE_HOPS else SILENT_METER
        if not self._is_silent(meter, now):
            return UNKNOWN
        neighbours = self._behind.get(meter.gateway_id, [])
        if len(neighbours) > 1 and all(self._is_silent(each, now) for each in neighbours):
            return LINE
        return SILENT_METER

    def _is_silent(self, meter: Meter, now: datetime) -> bool:
        heard_at = meter.last_contact_at
        return heard_at is None or now - heard_at > patience(self._settings, meter.capture_period_s)


def _utc(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
