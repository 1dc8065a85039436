"""Rows of the gaps table as a look at the fleet needs them: plain, in epoch seconds.

They are read by columns and written in bulk, only where something changed, a few hundred meters to
a transaction, so that whoever else writes to the registry gets a turn in between. Everything of one
meter is written together: what splits off from a row is never there beside what it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import batched, writing
from hesper_cloud.db.registry import LIVE_GAPS, Gap
from hesper_cloud.giving_way import GivesWay

SETTLED = "given_up"
PER_TRANSACTION = 300
_HANDED_ON = (
    *(Gap.cause, Gap.state, Gap.noticed_at, Gap.backfill_id, Gap.tries),
    *(Gap.next_try_at, Gap.reason, Gap.proof, Gap.closed_at),
)
_AS_READ = (Gap.id == bindparam("of"), Gap.state == bindparam("was"))
"""A row that somebody settled meanwhile is left to the next look."""
_MOVE = (
    update(Gap)
    .where(*_AS_READ)
    .values(
        from_at=bindparam("first_at"),
        to_at=bindparam("last_at"),
        expected_count=bindparam("count"),
        cause=bindparam("because"),
    )
)
_CLOSE = (
    update(Gap)
    .where(*_AS_READ)
    .values(state="closed", closed_at=bindparam("at"), proof=bindparam("shown"))
)
_DROP = delete(Gap).where(*_AS_READ)


@dataclass(slots=True, eq=False)
class GapRow:
    """One run of missing captures as the table has it, or as it will be written."""

    id: int | None
    meter: str
    profile: str
    first: int
    last: int
    count: int
    cause: str
    state: str = "open"
    backfill_id: int | None = None
    origin: int | None = None  # the row that this one splits off from, and takes after


class Outcome(NamedTuple):
    """What becomes of one meter's rows; closed ones come with their proof.

    Rows are dropped whose captures are accounted for by other rows.
    """

    fresh: Sequence[GapRow]
    moved: Sequence[GapRow]
    closed: Sequence[tuple[GapRow, dict[str, Any]]]
    dropped: Sequence[GapRow]


def by_meter(session: Session, profile: str, start: int) -> dict[str, list[GapRow]]:
    """Returns live gaps, and given-up ones of the days since ``start``, oldest first."""
    recent = (Gap.state == SETTLED) & (Gap.to_at >= datetime.fromtimestamp(start, UTC))
    columns = (Gap.id, Gap.meter, Gap.from_at, Gap.to_at, Gap.expected_count)
    query = (
        select(*columns, Gap.cause, Gap.state, Gap.backfill_id)
        .where(Gap.profile == profile, Gap.state.in_(LIVE_GAPS) | recent)
        .order_by(Gap.from_at)
    )
    found: dict[str, list[GapRow]] = {}
    for row_id, meter, first_at, last_at, count, cause, state, backfill in session.execute(query):
        first, last = int(first_at.timestamp()), int(last_at.timestamp())
        row = GapRow(row_id, meter, profile, first, last, count, cause, state, backfill)
        found.setdefault(meter, []).append(row)
    return found


def write(engine: Engine, outcomes: Sequence[Outcome], now: datetime, giving_way: GivesWay) -> None:
    """Writes what has become of the rows."""
    for part in giving_way.portions(batched(outcomes, PER_TRANSACTION)):
        with writing(engine) as session:
            _insert(session, [row for outcome in part for row in outcome.fresh], now)
            moved = [_as_moved(row) for outcome in part for row in outcome.moved]
            closed = [
                {"of": row.id, "was": row.state, "at": now, "shown": proof}
                for outcome in part
                for row, proof in outcome.closed
            ]
            dropped = [{"of": row.id, "was": row.state} for each in part for row in each.dropped]
            for statement, values in ((_MOVE, moved), (_CLOSE, closed), (_DROP, dropped)):
                if values:
                    session.connection().execute(statement, values)


def _insert(session: Session, rows: Sequence[GapRow], now: datetime) -> None:
    inherited = _inherited(session, {row.origin for row in rows if row.origin is not None})
    values = [_as_new(row, now) | inherited.get(row.origin or 0, {}) for row in rows]
    proven = [each for each in values if each.get("proof") is not None]
    bare = [each for each in values if each.get("proof") is None]
    for each in bare:
        each.pop("proof", None)  # NULL, not JSON's null
    for alike in (bare, proven):
        if alike:
            session.connection().execute(insert(Gap), alike)


def _inherited(session: Session, origins: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Returns what rows hand on to those that split off, by their ids; read before they move."""
    found: dict[int, dict[str, Any]] = {}
    for ids in batched(sorted(origins)):
        query = select(Gap.id, *_HANDED_ON).where(Gap.id.in_(ids))
        for row in session.execute(query).mappings():
            values = dict(row)
            found[values.pop("id")] = values
    return found


def _as_new(row: GapRow, now: datetime) -> dict[str, Any]:
    return {
        "meter": row.meter,
        "profile": row.profile,
        "from_at": datetime.fromtimestamp(row.first, UTC),
        "to_at": datetime.fromtimestamp(row.last, UTC),
        "expected_count": row.count,
        "cause": row.cause,
        "state": row.state,
        "noticed_at": now,
        "closed_at": None,
        "backfill_id": None,
        "tries": 0,
        "next_try_at": None,
        "reason": None,
    }


def _as_moved(row: GapRow) -> dict[str, Any]:
    return {
        "of": row.id,
        "was": row.state,
        "first_at": datetime.fromtimestamp(row.first, UTC),
        "last_at": datetime.fromtimestamp(row.last, UTC),
        "count": row.count,
        "because": row.cause,
    }
