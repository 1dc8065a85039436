"""Which days of which meters have to be validated and summed again.

Ingest marks the UTC day of every new row, and where other values came for rows that were stored, of
every row that came with them; an edit marks its own. Marks are written at most every
five seconds, some thousand at a time, and in a large fleet so seldom that it takes a fiftieth of
the time: readings do not pay for them. What a killed process had not written is found by
`hesper_cloud.aggregates.reconcile`, which compares counts with the store.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from sqlalchemy import Engine, bindparam, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.db.energy import DirtyDay
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.upserts import upsert_each
from hesper_cloud.giving_way import Seldom
from hesper_cloud.stores.port import CommittedRows

log = logging.getLogger(__name__)

EVERY_S = 5.0
AT_ONCE = 5000
DAY_S = 86_400


class Mark(NamedTuple):
    """One marked day as it was taken; a later mark of the same day is another one."""

    meter: str
    day: int
    marked_at: datetime


def mark(session: Session, days: Iterable[tuple[str, int]], at: datetime) -> None:
    """Marks UTC days (since 1970-01-01) of meters, within the caller's transaction."""
    by_day: dict[int, set[str]] = {}
    for meter, day in days:
        by_day.setdefault(day, set()).add(meter)
    for day, meters in by_day.items():
        same = {"day": day, "marked_at": at}
        upsert_each(session, DirtyDay, ("meter", meters), same, ["marked_at"])


def taken(engine: Engine, limit: int) -> list[Mark]:
    """Returns the marks that have waited longest."""
    query = select(DirtyDay).order_by(DirtyDay.marked_at, DirtyDay.meter).limit(limit)
    with reading(engine) as session:
        return [Mark(row.meter, row.day, row.marked_at) for row in session.scalars(query)]


def settled(session: Session, marks: Sequence[Mark]) -> None:
    """Removes marks, unless their days were marked again since they were taken."""
    session.connection().execute(
        delete(DirtyDay).where(
            DirtyDay.meter == bindparam("of_meter"),
            DirtyDay.day == bindparam("of_day"),
            DirtyDay.marked_at == bindparam("at"),
        ),
        [{"of_meter": each.meter, "of_day": each.day, "at": each.marked_at} for each in marks],
    )


class DirtyDays:
    """Follows committed rows; `flush` writes the marks."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._seldom = Seldom(EVERY_S, monotonic)
        self._lock = threading.Lock()
        self._marks: dict[int, set[str]] = {}

    def rows_committed(self, rows: CommittedRows) -> None:
        """Notes the days of a block's new rows, and of those that may contradict what is stored."""
        block = rows.block
        accepted = np.ones_like(rows.accepted) if rows.has_conflicts else rows.accepted
        if block.profile != quantities.LOAD_PROFILE or not accepted.any():
            return
        first, last = (
            int(at) // DAY_S for at in (block.captured_at.min(), block.captured_at.max())
        )
        with self._lock:
            if first == last and bool(accepted.all()):
                self._marks.setdefault(first, set()).update(block.meters)
                return
            days = block.captured_at[accepted] // DAY_S
            index = block.meter_index[accepted]
            for day in np.unique(days):
                names = (block.meters[place] for place in np.unique(index[days == day]))
                self._marks.setdefault(int(day), set()).update(names)

    def flush(self, *, at_once: bool = False) -> None:
        """Writes some marks if it is time, or all that there are."""
        self._seldom.turn(self._write_some, at_once=at_once)

    def _write_some(self) -> bool:
        """Returns whether more wait; what cannot be written now is kept."""
        with self._lock:
            day = next(iter(self._marks), None)
            if day is None:
                return False
            waiting = self._marks[day]
            meters = {waiting.pop() for _ in range(min(AT_ONCE, len(waiting)))}
            del self._marks[day]
            if waiting:
                self._marks[day] = waiting  # other days come first now
        try:
            with writing(self._engine) as session:
                mark(session, ((meter, day) for meter in meters), datetime.now(UTC))
        except SQLAlchemyError as error:
            log.warning("days to validate not written, again soon: %s", error)
            with self._lock:
                self._marks.setdefault(day, set()).update(meters)
            return False
        return bool(self._marks)
