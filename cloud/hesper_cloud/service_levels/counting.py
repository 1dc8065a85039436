"""Counts for one profile and day, meter by meter, what was due and what was stored by when."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import MeterProfile
from hesper_cloud.gaps.runs import Grid, phase_of
from hesper_cloud.stores.port import Integers, ReadingStore

_NONE: Integers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class MeterDay:
    """Captures of one meter and day: due, and when each was first stored (0: not at all)."""

    meter: str
    due: int
    stored_at: Integers

    def met(self, deadline: int) -> int:
        """Returns how many were stored by the deadline, epoch seconds."""
        return int(((self.stored_at > 0) & (self.stored_at <= deadline)).sum())


def meter_days(
    session: Session, store: ReadingStore, profile: str, span: tuple[int, int], now: int
) -> Iterator[MeterDay]:
    """Yields every meter that owes captures of a day so far.

    Args:
        session: On the registry.
        store: Where readings are.
        profile: Logical name.
        span: When the day begins and ends, epoch seconds.
        now: Epoch seconds; a capture is due one period after it was latched.
    """
    arrived = _arrivals(store, profile, span)
    query = select(MeterProfile).where(MeterProfile.profile == profile)
    for row in session.scalars(query.order_by(MeterProfile.meter)):
        if not row.capture_period_s:
            continue
        times, stored_at = arrived.get(row.meter, (_NONE, _NONE))
        since = int(max(row.expected_from, row.period_since or row.expected_from).timestamp())
        period_s = row.capture_period_s
        phase = phase_of(times, period_s) if len(times) else since % period_s
        end = min(span[1] - 1, now - period_s)
        grid = Grid.over(max(span[0], since), end, period_s, phase)
        if grid.slots:
            yield MeterDay(row.meter, grid.slots, _first_stored(grid, times, stored_at))


def _first_stored(grid: Grid, times: Integers, stored_at: Integers) -> Integers:
    found = np.zeros(grid.slots, dtype=np.int64)
    slots = (times - grid.phase + grid.period_s // 2) // grid.period_s - grid.first
    inside = (slots >= 0) & (slots < grid.slots)
    order = np.argsort(-stored_at[inside], kind="stable")  # the first that was stored is set last
    found[slots[inside][order]] = stored_at[inside][order]
    return found


def _arrivals(
    store: ReadingStore, profile: str, span: tuple[int, int]
) -> Mapping[str, tuple[Integers, Integers]]:
    """Returns each meter's capture times with the times at which they were stored."""
    times: dict[str, list[Integers]] = defaultdict(list)
    stored: dict[str, list[Integers]] = defaultdict(list)
    for part in store.rows(profile, *span):
        for meter, rows in part.by_meter():
            times[meter].append(np.asarray(part.captured_at[rows], dtype=np.int64))
            stored[meter].append(np.asarray(part.stored_at_ms[rows], np.int64) // 1000)
    return {meter: (np.concatenate(times[meter]), np.concatenate(stored[meter])) for meter in times}
