"""Which rows of a batch go next: in order, as far as canary, budgets and areas let them."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.authority import facts, timing
from hesper_cloud.authority.batches import waves
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.authority.kinds import CUTTING, RECONNECT
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.rules import Denied
from hesper_cloud.authority.spacing import Spacing
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow

_MINUTE = timedelta(minutes=1)


class Held(NamedTuple):
    """What waiting rows are held back by: the registry knows the weather, the policy the rest."""

    session: Session
    registry: Engine
    policy: Policy
    now: datetime
    spacing: Spacing
    give_way: GiveWay


def next_rows(held: Held, batch: Batch, room: int) -> Sequence[BatchRow]:
    """Returns at most ``room`` waiting rows that may go now, in the order of the list."""
    session = held.session
    waiting = waves.open_rows(session, batch) & (BatchRow.state == "waiting")
    at_work = held.policy.gateways_held(held.now)
    if at_work is None:
        return ()
    if at_work:
        waiting &= or_(BatchRow.gateway.is_(None), BatchRow.gateway.not_in(at_work))
    if batch.kind in CUTTING:
        waiting &= _within_budgets(held, waiting)
        room = 1
    if batch.kind == RECONNECT:
        return _staggered(held, waiting, room)
    query = select(BatchRow).where(waiting).order_by(BatchRow.position)
    return session.scalars(query.limit(room)).all()


def _within_budgets(held: Held, waiting: ColumnElement[bool]) -> ColumnElement[bool]:
    """Returns which rows hours, weather and budgets have room for, with no other in their way.

    Rows that must wait stay where they are and cost nothing. However many batches there are, they
    let no more go in an hour than what single commands are quarantined above.
    """
    session, policy, now = held.session, held.policy, held.now
    if facts.queued_lately(session, now) >= policy.disconnects.quarantine_above:
        return BatchRow.gateway.in_(())
    queued = exists().where(CommandRecord.state == "queued", CommandRecord.kind.in_(CUTTING))
    if session.scalar(select(queued)) or not held.spacing.is_over(session, policy, now):
        return BatchRow.gateway.in_(())
    gateways = session.scalars(select(BatchRow.gateway).where(waiting).distinct()).all()
    return BatchRow.gateway.in_([name for name in gateways if name and _has_room(held, name)])


def _has_room(held: Held, gateway: str) -> bool:
    try:
        timing.opening(held.registry, held.policy, gateway, held.now, timedelta(0))
    except Denied:
        return False
    return facts.budget_exhausted(held.session, held.policy, gateway, held.now) is None


def _staggered(held: Held, waiting: ColumnElement[bool], room: int) -> Sequence[BatchRow]:
    """Returns rows where not too many were switched on within the last minute.

    An area is what is fed together; behind a gateway the policy has a pace, too.
    """
    areas = _Pace(held, BatchRow.area, held.policy.batches.area_reconnects_per_minute)
    gateways = _Pace(held, BatchRow.gateway, held.policy.gateway_reconnects_per_minute)
    query = select(BatchRow).where(waiting, areas.elsewhere(), gateways.elsewhere())
    chosen: list[BatchRow] = []
    for row in held.session.scalars(query.order_by(BatchRow.position).limit(room)):
        if areas.has_room(row.area) and gateways.has_room(row.gateway):
            areas.used[row.area] += 1
            gateways.used[row.gateway] += 1
            chosen.append(row)
    return chosen


class _Pace:
    """How many rows of reconnect batches left within the last minute, by area or by gateway."""

    def __init__(self, held: Held, column: InstrumentedAttribute[str | None], most: int) -> None:
        since = held.now - _MINUTE
        lately = (
            select(column, func.count())
            .join(Batch, Batch.id == BatchRow.batch)
            .where(
                Batch.kind == RECONNECT,
                Batch.updated_at > since,
                BatchRow.released_at > since,
                BatchRow.released_at < held.now + _MINUTE,
                column.is_not(None),
            )
            .group_by(column)
        )
        self._column, self._most = column, most
        self.used: Counter[str | None] = Counter(dict(held.session.execute(lately).all()))

    def has_room(self, name: str | None) -> bool:
        """Says whether another may leave there; where nothing is known the rate alone counts."""
        return name is None or self.used[name] < self._most

    def elsewhere(self) -> ColumnElement[bool]:
        """Returns which rows are where there is room."""
        full = [name for name in self.used if not self.has_room(name)]
        return or_(self._column.is_(None), self._column.not_in(full))
