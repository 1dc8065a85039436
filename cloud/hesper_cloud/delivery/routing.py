"""Follows the changes of alerts and puts into the outbox what routes make of them.

A change waits a few seconds, so that an alert may give way to a greater one first: a feeder that is
lost is told as the storm that it is. What is told is noted in the alert's history, by route: one
that was not told of an alert, because it was not severe enough, hears of it when it is; the end of
an alert is told only where its beginning was, or where no beginning is wanted. Alerts where people
work (maintenance of the policy) are held: told when the work is over and they still hold, else
muted.
"""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud.alert_settings import DeliverySettings
from hesper_cloud.alerting.changes import Step, note
from hesper_cloud.db.alerting import CLEARED, SHELVED, Alert, AlertChange
from hesper_cloud.db.delivery import Delivery, DeliveryCursor, DeliveryRoute, DeliveryTarget
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.delivery.routes import Plan, RoutePolicy, plans

FAILING = "delivery-failing/"
"""How the rule of the alert begins that a target does not take its messages."""
HELD, WAITING, SENT, MUTED, EXPIRED = "held", "waiting", "sent", "muted", "expired"
_CURSOR = "alerts"
_BEGINNINGS = (Step.RAISED, Step.SURFACED, Step.WORSENED)
_TOLD = (*_BEGINNINGS, Step.GREW, Step.CLEARED)
_PER_TURN = 5_000
Works = Callable[[datetime], Callable[[str | None], bool]]


@dataclass(frozen=True, slots=True)
class _Route:
    id: int
    target_id: int
    target: str
    policy: RoutePolicy

    @property
    def mark(self) -> str:
        """How the history of an alert says that this route told it; names may change."""
        return f", route {self.id}"


@dataclass(frozen=True, slots=True)
class _News:
    """One change that may be told."""

    change: int
    what: str
    alert: Alert
    gateway: str | None  # of the alert, or of its meter


class Router:
    """Moves along the changes."""

    def __init__(
        self,
        engine: Engine,
        settings: DeliverySettings,
        clock: Callable[[], datetime],
        works: Works,
    ) -> None:
        self._engine = engine
        self._settle = timedelta(seconds=settings.settle_s)
        self._clock = clock
        self._works = works

    def turn(self) -> None:
        """Takes what has settled, and looks again at what is held."""
        now = self._clock()
        with reading(self._engine) as session:
            position = session.get(DeliveryCursor, _CURSOR)
            newest = session.scalar(_settled(now - self._settle, now)) or 0
            held = session.scalar(select(Delivery.id).where(Delivery.state == HELD).limit(1))
        if position is not None and newest <= position.position and held is None:
            return
        is_worked_at = self._works(now)
        with writing(self._engine) as session:
            if held is not None:
                _look_at_held(session, is_worked_at, now)
            self._follow(session, newest, is_worked_at, now)

    def _follow(
        self,
        session: Session,
        newest: int,
        is_worked_at: Callable[[str | None], bool],
        now: datetime,
    ) -> None:
        cursor = session.get(DeliveryCursor, _CURSOR)
        if cursor is None:  # what was before delivery began is history
            session.add(DeliveryCursor(name=_CURSOR, position=newest))
            return
        query = (
            select(AlertChange)
            .where(AlertChange.id > cursor.position, AlertChange.id <= newest)
            .order_by(AlertChange.id)
            .limit(_PER_TURN)
        )
        changes = session.scalars(query).all()
        news = _news(session, changes)
        for route in _routes(session):
            own = _own(session, route, news, now)
            if own:
                _enqueue(session, route, own, (is_worked_at, now))
        if changes:
            cursor.position = changes[-1].id


def _settled(before: datetime, now: datetime) -> Select[int]:
    """Returns a query for the newest change that nothing younger than the pause stands before.

    What is of the future was written before the clock was set back, and has settled.
    """
    young = (
        select(func.min(AlertChange.id))
        .where(AlertChange.at > before, AlertChange.at <= now)
        .scalar_subquery()
    )
    newest = func.max(AlertChange.id)
    return select(newest).where((AlertChange.id < young) | young.is_(None))


def _news(session: Session, changes: Sequence[AlertChange]) -> list[_News]:
    """Returns which of the changes are told at all, with what must be known of their alerts."""
    steps = {step.value for step in _TOLD}
    of_interest = [each for each in changes if each.action in steps]
    ids = sorted({each.alert_id for each in of_interest})
    query = select(Alert).where(Alert.id.in_(ids))
    alerts = {each.id: each for each in session.scalars(query)}
    meters = {each.meter for each in alerts.values() if each.meter}
    behind = select(Meter.id, Meter.gateway_id).where(Meter.id.in_(meters))
    gateways = {row[0]: row[1] for row in session.execute(behind)}
    found = []
    for each in of_interest:
        alert = alerts[each.alert_id]
        gateway = alert.gateway or gateways.get(alert.meter or "")
        found.append(_News(each.id, each.action, alert, gateway))
    return found


def _own(session: Session, route: _Route, news: Sequence[_News], now: datetime) -> list[_News]:
    """Returns what is news to a route and wanted by it, one change of an alert at most.

    What rises above its quiet hours is told then, though it may wait in the morning's digest, too.
    """
    told = _told_by(session, route, {each.alert.id for each in news})
    found: dict[int, _News] = {}
    for each in news:
        alert = each.alert
        rises = each.what == Step.WORSENED and route.policy.breaks_quiet(alert, now)
        was_told = alert.id in told and not rises
        if (
            alert.rule != f"{FAILING}{route.target}"
            and _is_news(each.what, alert, was_told, not route.policy.hears_beginnings)
            and route.policy.wants(each.what, alert, was_told)
        ):
            found.setdefault(alert.id, each)
    return list(found.values())


def _told_by(session: Session, route: _Route, alerts: Collection[int]) -> set[int]:
    """Returns which of the alerts a route has told before."""
    query = select(AlertChange.alert_id).where(
        AlertChange.alert_id.in_(alerts),
        AlertChange.action == Step.TOLD.value,
        AlertChange.detail.endswith(route.mark),
    )
    return set(session.scalars(query))


def _is_news(what: str, alert: Alert, was_told: bool, begun_unheard: bool) -> bool:
    """Says whether a change is news to a route, by what it was told or does not want to be."""
    if what == Step.CLEARED:
        return was_told or (begun_unheard and not alert.suppressed)
    if alert.suppressed or alert.state in (CLEARED, SHELVED):
        return False
    return (was_told or begun_unheard) != (what in _BEGINNINGS)


def _routes(session: Session) -> list[_Route]:
    query = (
        select(DeliveryRoute, DeliveryTarget.name)
        .join(DeliveryTarget, DeliveryTarget.id == DeliveryRoute.target_id)
        .where(DeliveryRoute.enabled, DeliveryTarget.enabled)
        .order_by(DeliveryRoute.id)
    )
    return [
        _Route(row.id, row.target_id, target, RoutePolicy.model_validate(row.policy))
        for row, target in session.execute(query)
    ]


def _enqueue(
    session: Session,
    route: _Route,
    news: Sequence[_News],
    moment: tuple[Callable[[str | None], bool], datetime],
) -> None:
    is_worked_at, now = moment
    detail = f"to {route.target}{route.mark}"
    note(session, [each.alert.id for each in news], Step.TOLD, now, detail=detail)
    held = [each for each in news if is_worked_at(each.gateway)]
    for each in held:
        plan = Plan("alert", (each.change,), now, "people work at its gateway")
        session.add(_delivery(route.target_id, route.id, plan, HELD, now))
    free = [(each.change, each.alert) for each in news if each not in held]
    since = now - timedelta(seconds=route.policy.digest_window_s)
    made = select(Delivery.made_at).where(
        Delivery.route_id == route.id,
        Delivery.made_at > since,
        Delivery.made_at <= now,  # others are of a clock that was ahead
        Delivery.state != HELD,
    )
    for plan in plans(route.policy, free, session.scalars(made).all(), now):
        _put(session, route, plan, now)


def _put(session: Session, route: _Route, plan: Plan, now: datetime) -> None:
    """Adds a message, or to one that gathers for the same reason and leaves no later."""
    gathering = select(Delivery).where(
        Delivery.route_id == route.id,
        Delivery.kind == "digest",
        Delivery.reason == plan.reason,
        Delivery.state == WAITING,
        Delivery.attempts == 0,
        Delivery.due_at > now,
        Delivery.due_at <= plan.due_at,
    )
    open_ = session.scalars(gathering.order_by(Delivery.due_at)).first()
    if plan.kind == "digest" and plan.due_at > now and open_ is not None:
        open_.entries = {"changes": [*open_.entries["changes"], *plan.changes]}
        return
    session.add(_delivery(route.target_id, route.id, plan, WAITING, now))


def _delivery(
    target_id: int, route_id: int | None, plan: Plan, state: str, now: datetime
) -> Delivery:
    return Delivery(
        message_id=str(uuid.uuid4()),
        target_id=target_id,
        route_id=route_id,
        kind=plan.kind,
        state=state,
        entries={"changes": list(plan.changes)},
        made_at=now,
        due_at=plan.due_at,
        attempts=0,
        reason=plan.reason or None,
    )


def _look_at_held(
    session: Session, is_worked_at: Callable[[str | None], bool], now: datetime
) -> None:
    """Lets go what people no longer work at; mutes what was over before that."""
    for held in session.scalars(select(Delivery).where(Delivery.state == HELD)).all():
        ids = held.entries["changes"]
        query = (
            select(Alert, Meter.gateway_id)
            .join(AlertChange, AlertChange.alert_id == Alert.id)
            .join(Meter, Meter.id == Alert.meter, isouter=True)
            .where(AlertChange.id.in_(ids))
        )
        rows = session.execute(query).all()
        if any(is_worked_at(alert.gateway or gateway) for alert, gateway in rows):
            continue
        if all(alert.state == CLEARED for alert, _ in rows):
            held.state, held.reason = MUTED, "over before the work at its gateway was"
        else:
            held.state, held.due_at = WAITING, now
            held.reason = "held while people worked at its gateway"
