"""Outages are opened, grow, merge and end, by the losses that there are."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from hesper_contracts.events import Severity
from sqlalchemy import Engine, delete, func, or_, select, update
from sqlalchemy.orm import Session

from hesper_cloud.alerting import grid
from hesper_cloud.alerting.grid import AREA, GATEWAY, Grid
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.rules import GONE, Outage, PowerLoss
from hesper_cloud.latest import LatestValues
from hesper_cloud.outages import customers
from hesper_cloud.outages.extent import METER, Extent, Loss, clusters, extents
from hesper_cloud.outages.losses import read_again, told_before
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.worded import later, worded

RULE = "outage"
OPEN, RESTORED, MERGED = "open", "restored", "merged"
CALM_FOR = timedelta(seconds=5)
"""While losses are still coming in nothing is opened …"""
AT_THE_LATEST = timedelta(seconds=60)
"""… but not for longer than this."""
KEPT = timedelta(days=800)
"""Two years' figures of interruptions can be reckoned."""
GIVEN_UP = timedelta(days=90)
"""Who was not heard of for so long is not without power, but gone."""
COUNTED_EVERY = timedelta(seconds=60)
"""Customers are estimated anew so often, and whenever somebody is lost or back."""
_MANY = 50
_AT_HOME = later(
    "No power at {name} since {since} UTC: {told} meters told, about {customers} customers."
)
_AT_PLACE = later(
    "No power at {kind} {name} since {since} UTC: {told} meters told, about {customers} customers."
)


class OutageKeeping:
    """Puts losses together each time it is asked."""

    def __init__(
        self,
        engine: Engine,
        alerts: Alerts,
        latest: LatestValues,
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._alerts = alerts
        self._latest = latest
        self._clock = clock
        self._coming: tuple[int, datetime, datetime] | None = None  # newest, since, first

    def turn(self) -> None:
        """Looks at every loss that is not settled, and at every outage that is open."""
        now = self._clock()
        with reading(self._engine) as session:
            losses = _unsettled(session)
            is_idle = not losses and not _is_any_open(session)
        if is_idle:
            self._coming = None
            return
        with writing(self._engine) as session:
            told_before(session, now)
            if any(loss.back_at is None for loss in losses):
                captured = self._latest.last_captured()
                read_again(session, captured)
            else:
                captured = {}
            losses = _unsettled(session)
            if self._is_calm([loss for loss in losses if loss.outage is None], now):
                self._gather(session, losses, now)
        with writing(self._engine) as session:  # others may write in between
            self._follow(session, captured, now)

    def forget(self) -> None:
        """Removes what ended long ago, and gives up losses of which nobody hears any more."""
        now = self._clock()
        with writing(self._engine) as session:
            silent = PowerLoss.back_at.is_(None), PowerLoss.lost_at < now - GIVEN_UP
            gone = {"back_at": now, "proof": GONE}
            session.execute(update(PowerLoss).where(*silent).values(gone))
            old = PowerLoss.settled, PowerLoss.lost_at < now - KEPT
            session.execute(delete(PowerLoss).where(*old))
            over = Outage.state != OPEN, Outage.updated_at < now - KEPT
            session.execute(delete(Outage).where(*over))

    def _is_calm(self, fresh: Sequence[Loss], now: datetime) -> bool:
        """Says whether no more losses come in, or have for too long to wait for their end."""
        if not fresh:
            self._coming = None
            return False
        newest = max(loss.id for loss in fresh)
        if self._coming is None or self._coming[0] != newest:
            first = now if self._coming is None else self._coming[2]
            self._coming = (newest, now, first)
        _, since, first = self._coming
        return abs(now - since) >= CALM_FOR or abs(now - first) >= AT_THE_LATEST

    def _gather(self, session: Session, losses: Sequence[Loss], now: datetime) -> None:
        where = grid.load(session, [loss.meter for loss in losses], now)
        for cluster in clusters(losses):
            if any(loss.outage is None for loss in cluster):
                for extent in extents(where, cluster):
                    self._place(session, extent, where, now)

    def _place(self, session: Session, extent: Extent, where: Grid, now: datetime) -> None:
        """Gives an extent its outage: one that is open there, or a new one that takes others in."""
        if all(loss.outage is not None for loss in extent.losses):
            return
        before = {loss.outage for loss in extent.losses if loss.outage is not None}
        own = _own(session, extent, before) or _above(session, extent, where)
        if own is None:
            own = _opened(session, extent, where, now)
        _join(session, own.id, [loss.id for loss in extent.losses])
        for number in before - {own.id}:
            self._merge(session, session.get_one(Outage, number), own, now)
        own.began_at = min(own.began_at, *(loss.lost_at for loss in extent.losses))

    def _merge(self, session: Session, smaller: Outage, larger: Outage, now: datetime) -> None:
        session.execute(
            update(PowerLoss).where(PowerLoss.outage == smaller.id).values(outage=larger.id)
        )
        larger.began_at = min(larger.began_at, smaller.began_at)
        smaller.state, smaller.merged_into, smaller.updated_at = MERGED, larger.id, now
        self._alerts.clear(subject_of(smaller), at=now, session=session)

    def _follow(self, session: Session, captured: dict[str, int], now: datetime) -> None:
        """Counts who is back, and tells of outages that began or ended.

        One of which no loss is left, because its meters were erased, is over as well.
        """
        counting = customers.Counting(session)
        told: list[Telling] = []
        over: list[tuple[Subject, datetime]] = []
        for outage in session.scalars(select(Outage).where(Outage.state == OPEN)).all():
            counted = outage.customer_count and abs(now - outage.updated_at) < COUNTED_EVERY
            if counted and _as_counted(session, outage):
                told.append(telling_of(outage))
                continue
            losses = _of(session, outage.id)
            outage.lost_count = len({loss.meter for loss in losses})
            back = [loss.back_at for loss in losses if loss.back_at is not None]
            outage.back_count = len({loss.meter for loss in losses if loss.back_at is not None})
            outage.updated_at = now
            if len(back) < len(losses):
                outage.customer_count = customers.estimated(counting, outage, losses, captured)
            elif not outage.customer_count:
                outage.customer_count = customers.who_told(counting, losses)
            if len(back) == len(losses):
                restored_at = max(back, default=now)
                outage.state, outage.restored_at = RESTORED, restored_at
                _settle(session, outage.id)
                over.append((subject_of(outage), restored_at))
            else:
                told.append(telling_of(outage))
        still = {telling.subject for telling in told}
        self._alerts.clear_all([each for each in over if each[0] not in still], session)
        self._alerts.raise_all(told, session)


def subject_of(outage: Outage) -> Subject:
    """Returns what the alert of an outage is about."""
    if outage.kind == METER:
        return Subject(RULE, meter=outage.place)
    if outage.kind == GATEWAY:
        return Subject(RULE, gateway=outage.place)
    if outage.kind == AREA and outage.area == outage.place:
        return Subject(f"{RULE}/{outage.place}")
    return Subject(RULE, element=outage.place)


def telling_of(outage: Outage) -> Telling:
    """Returns what an outage's alert says."""
    severity: Severity = "warning" if outage.lost_count > 1 else "info"
    if outage.customer_count >= _MANY:
        severity = "critical"
    words = _AT_HOME if outage.kind == METER else _AT_PLACE
    text = worded(
        words,
        kind=outage.kind,
        name=outage.name,
        since=f"{outage.began_at:%F %R}",
        told=outage.lost_count,
        customers=outage.customer_count,
    )
    return Telling(
        subject_of(outage),
        severity,
        text,
        outage.began_at,
        affected_count=outage.customer_count,
        area=outage.area,
    )


def _as_counted(session: Session, outage: Outage) -> bool:
    """Says whether nobody was lost and nobody came back since an outage was counted."""
    losses = func.count(PowerLoss.meter.distinct())
    of = PowerLoss.outage == outage.id
    lost = session.execute(select(losses).where(of)).scalar_one()
    back = session.execute(select(losses).where(of, PowerLoss.back_at.is_not(None))).scalar_one()
    return (lost, back) == (outage.lost_count, outage.back_count) and back < lost


def _is_any_open(session: Session) -> bool:
    found = select(Outage.id).where(Outage.state == OPEN)
    return session.scalars(found.limit(1)).first() is not None


def _unsettled(session: Session) -> list[Loss]:
    query = select(
        PowerLoss.id, PowerLoss.meter, PowerLoss.lost_at, PowerLoss.back_at, PowerLoss.outage
    ).where(PowerLoss.settled.is_(False))
    return [Loss(*row) for row in session.execute(query)]


def _of(session: Session, outage: int) -> list[Loss]:
    query = select(
        PowerLoss.id, PowerLoss.meter, PowerLoss.lost_at, PowerLoss.back_at, PowerLoss.outage
    ).where(PowerLoss.outage == outage)
    return [Loss(*row) for row in session.execute(query)]


def _own(session: Session, extent: Extent, before: Collection[int]) -> Outage | None:
    """Returns the open outage of an extent's part, if it is one of these losses' own."""
    query = select(Outage).where(
        Outage.kind == extent.part.kind, Outage.place == extent.part.id, Outage.state == OPEN
    )
    found = session.scalars(query.order_by(Outage.id)).first()
    if found is None or found.id in before:
        return found
    first = min(loss.lost_at for loss in extent.losses)
    return found if first >= found.began_at and _lasts(session, found.id, first) else None


def _lasts(session: Session, outage: int, at: datetime) -> bool:
    """Says whether some of an outage's meters had no power at an instant."""
    without = or_(PowerLoss.back_at.is_(None), PowerLoss.back_at >= at)
    found = select(PowerLoss.id).where(PowerLoss.outage == outage, without)
    return session.scalars(found.limit(1)).first() is not None


def _above(session: Session, extent: Extent, where: Grid) -> Outage | None:
    """Returns the open outage of a larger part on which an extent hangs, if it began before."""
    first = min(loss.lost_at for loss in extent.losses)
    element = extent.part.id if extent.part.element else where.element_of.get(extent.part.id, "")
    query = select(Outage).where(
        Outage.place.in_(list(where.chain(element))),
        Outage.state == OPEN,
        Outage.began_at <= first,
        Outage.kind.not_in((METER, GATEWAY)),
    )
    found = session.scalars(query.order_by(Outage.id)).first()
    return found if found is not None and _lasts(session, found.id, first) else None


def _opened(session: Session, extent: Extent, where: Grid, now: datetime) -> Outage:
    areas = {where.area_of.get(loss.meter) for loss in extent.losses}
    outage = Outage(
        kind=extent.part.kind,
        place=extent.part.id,
        name=extent.part.name,
        area=areas.pop() if len(areas) == 1 else None,
        state=OPEN,
        began_at=min(loss.lost_at for loss in extent.losses),
        noticed_at=now,
        lost_count=len(extent.losses),
        back_count=0,
        customer_count=0,
        updated_at=now,
    )
    session.add(outage)
    session.flush()
    return outage


def _join(session: Session, outage: int, losses: Sequence[int]) -> None:
    for ids in batched(losses):
        session.execute(update(PowerLoss).where(PowerLoss.id.in_(ids)).values(outage=outage))


def _settle(session: Session, outage: int) -> None:
    session.execute(update(PowerLoss).where(PowerLoss.outage == outage).values(settled=True))
