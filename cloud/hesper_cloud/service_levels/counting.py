"""Counts for one profile and day, meter by meter, what was due and what was stored by when."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.assets.service_life import Away, away
from hesper_cloud.db.registry import MeterProfile
from hesper_cloud.gaps.runs import Grid, phase_of
from hesper_cloud.stores.port import Arrivals, Integers

_NONE = Arrivals(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

Arrived = Callable[[Sequence[str]], Mapping[str, Arrivals]]
"""Returns what of a day was stored of some meters, and when."""


@dataclass(frozen=True, slots=True)
class MeterDay:
    """Captures of one meter and day: due, and when each was first stored (0: not at all)."""

    meter: str
    due: int
    stored_at: Integers

    def met(self, deadline: int) -> int:
        """Returns how many were stored by the deadline, epoch seconds."""
        return int(((self.stored_at > 0) & (self.stored_at <= deadline)).sum())


class Owing(NamedTuple):
    """Since when, how often, and until when a meter captures a profile; epoch seconds."""

    meter: str
    since: int
    period_s: int
    until: int


def owing(session: Session, profile: str, span: tuple[int, int]) -> list[Owing]:
    """Returns the meters of which captures of a profile were expected in a span, epoch seconds.

    Nothing is expected of a meter that is out of service.
    """
    start, end = span
    columns = (MeterProfile.expected_from, MeterProfile.period_since)
    query = select(MeterProfile.meter, MeterProfile.capture_period_s, *columns).where(
        MeterProfile.profile == profile, MeterProfile.capture_period_s.is_not(None)
    )
    absences = away(session)
    found = (
        _present(
            Owing(meter, _epoch(max(expected_from, period_since or expected_from)), period_s, end),
            absences.get(meter),
            start,
        )
        for meter, period_s, expected_from, period_since in session.execute(
            query.order_by(MeterProfile.meter)
        )
        if period_s
    )
    return [each for each in found if each.since < min(end, each.until) and each.until > start]


def _present(owing: Owing, absence: Away | None, start: int) -> Owing:
    """Leaves out of a span, from its start, the time that a meter was out of service."""
    if absence is None or absence.until <= start:
        return owing
    if absence.since <= start:
        return owing._replace(since=max(owing.since, absence.until))
    return owing._replace(until=min(owing.until, absence.since))


def meter_days(
    some: Sequence[Owing], arrived: Arrived, span: tuple[int, int], now: int
) -> Iterator[MeterDay]:
    """Yields those of some meters that owe captures of a day so far.

    Args:
        some: The meters.
        arrived: What is stored of the day.
        span: When the day begins and ends, epoch seconds.
        now: Epoch seconds; a capture is due one period after it was latched.
    """
    stored = arrived([each.meter for each in some])
    for meter, since, period_s, until in some:
        times, stored_at = stored.get(meter, _NONE)
        phase = phase_of(times, period_s) if len(times) else since % period_s
        end = min(span[1] - 1, until - 1, now - period_s)
        grid = Grid.over(max(span[0], since), end, period_s, phase)
        if grid.slots:
            yield MeterDay(meter, grid.slots, _first_stored(grid, times, stored_at))


def _first_stored(grid: Grid, times: Integers, stored_at: Integers) -> Integers:
    found = np.zeros(grid.slots, dtype=np.int64)
    slots = (times - grid.phase + grid.period_s // 2) // grid.period_s - grid.first
    inside = (slots >= 0) & (slots < grid.slots)
    order = np.argsort(-stored_at[inside], kind="stable")  # the first that was stored is set last
    found[slots[inside][order]] = stored_at[inside][order]
    return found


def _epoch(at: datetime) -> int:
    return int(at.timestamp())
