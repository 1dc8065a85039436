"""Which rows of a batch go next: in order, as far as canary, budgets and areas let them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts
from hesper_cloud.authority.batches.states import FINISHED
from hesper_cloud.authority.kinds import CUTTING, RECONNECT
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow

_MINUTE = timedelta(minutes=1)


def canary_is_over(session: Session, batch: Batch) -> bool:
    """Says whether all rows that go first have finished."""
    states = select(BatchRow.state).where(_takes_part(batch)).order_by(BatchRow.position)
    return all(state in FINISHED for state in session.scalars(states.limit(batch.canary)))


def next_rows(
    session: Session, policy: Policy, batch: Batch, room: int, now: datetime
) -> Sequence[BatchRow]:
    """Returns at most ``room`` waiting rows that may go now, in the order of the list."""
    waiting = (BatchRow.batch == batch.id) & (BatchRow.state == "waiting")
    if batch.state == "canary":
        first = select(BatchRow.position).where(_takes_part(batch)).order_by(BatchRow.position)
        waiting &= BatchRow.position.in_(session.scalars(first.limit(batch.canary)).all())
    if batch.kind in CUTTING:
        waiting &= _within_budgets(session, policy, waiting, now)
        room = 1
    if batch.kind == RECONNECT:
        return _staggered(session, policy, waiting, room, now)
    query = select(BatchRow).where(waiting).order_by(BatchRow.position)
    return session.scalars(query.limit(room)).all()


def _takes_part(batch: Batch) -> ColumnElement[bool]:
    return (BatchRow.batch == batch.id) & BatchRow.excluded.is_(None)


def _within_budgets(
    session: Session, policy: Policy, waiting: ColumnElement[bool], now: datetime
) -> ColumnElement[bool]:
    """Returns which rows a budget has room for, once no other disconnect is in their way.

    Rows whose budget is used up stay where they are and cost nothing.
    """
    queued = exists().where(CommandRecord.state == "queued", CommandRecord.kind.in_(CUTTING))
    if session.scalar(select(queued)) or not facts.spaced(session, policy, now):
        return BatchRow.gateway.in_(())
    gateways = session.scalars(select(BatchRow.gateway).where(waiting).distinct())
    roomy = [
        gateway
        for gateway in gateways
        if gateway and facts.budget_exhausted(session, policy, gateway, now) is None
    ]
    return BatchRow.gateway.in_(roomy)


def _staggered(
    session: Session, policy: Policy, waiting: ColumnElement[bool], room: int, now: datetime
) -> Sequence[BatchRow]:
    """Returns rows of areas in which not too many were switched on within the last minute."""
    lately = (
        select(BatchRow.area, func.count())
        .join(Batch, Batch.id == BatchRow.batch)
        .where(
            Batch.kind == RECONNECT,
            Batch.updated_at > now - _MINUTE,
            BatchRow.released_at > now - _MINUTE,
            BatchRow.area.is_not(None),
        )
        .group_by(BatchRow.area)
    )
    most = policy.batches.area_reconnects_per_minute
    used: Counter[str | None] = Counter(dict(session.execute(lately).all()))
    full = [area for area, count in used.items() if count >= most]
    somewhere_else = or_(BatchRow.area.is_(None), BatchRow.area.not_in(full))
    query = select(BatchRow).where(waiting, somewhere_else).order_by(BatchRow.position)
    chosen: list[BatchRow] = []
    for row in session.scalars(query.limit(room)):
        if row.area is None or used[row.area] < most:
            used[row.area] += 1
            chosen.append(row)
    return chosen
