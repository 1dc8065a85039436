"""Power-loss events become losses of single meters, inside the transaction that stores them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from hesper_contracts.events import Event
from sqlalchemy import exists, func, insert, literal, not_, or_, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db import registry
from hesper_cloud.db.rules import PowerLoss

LOST = frozenset({"power.down", "power.last_gasp"})
BACK = frozenset({"power.up"})
SAME = timedelta(seconds=120)
"""A last gasp and the log's own entry of one loss are not further apart."""
COUNTS_FOR = timedelta(days=7)
SETTLES = timedelta(seconds=60)
"""A reading captured so long after a loss proves that there is power again."""
BY_EVENT, BY_READING = "event", "reading"


def _now() -> datetime:
    return datetime.now(UTC)


class Losses:
    """Follows new events."""

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock

    def event_stored(self, session: Session, gateway: str, event: Event) -> None:
        """Opens a loss, or ends one; what is older than a week is history that nobody waits for.

        A meter whose clock is ahead tells of now: no reading would ever end a loss of next year.
        """
        del gateway
        now = self._clock()
        if event.meter is None or event.occurred_at < now - COUNTS_FOR:
            return
        at = min(event.occurred_at, now)
        if event.code in LOST:
            _lost(session, event.meter, at)
        elif event.code in BACK:
            _back(session, event.meter, at)


def _lost(session: Session, meter: str, at: datetime) -> None:
    """Opens a loss; who unplugs a meter that was removed hears its last gasp, and nobody is cut."""
    loss = PowerLoss
    removed = select(registry.Meter.id).where(
        registry.Meter.id == meter, registry.Meter.life == "removed"
    )
    near = select(loss.id).where(
        loss.meter == meter,
        loss.lost_at.between(at - SAME, at + SAME),
        or_(loss.back_at.is_(None), loss.back_at > at, loss.lost_at == at),
    )
    row = select(literal(meter), literal(at, loss.lost_at.type), literal(False)).where(
        not_(exists(near)), not_(exists(removed))
    )
    session.execute(insert(loss).from_select(["meter", "lost_at", "settled"], row))


def told_before(session: Session, now: datetime) -> None:
    """Ends losses whose end was told before they were: events come in any order.

    What a clock that was ahead told of times to come ends nothing.
    """
    told, loss = registry.Event, PowerLoss
    ended = (
        select(loss.id, func.min(told.occurred_at, type_=told.occurred_at.type))
        .join(told, (told.meter == loss.meter) & (told.occurred_at >= loss.lost_at))
        .where(loss.outage.is_(None), loss.back_at.is_(None))
        .where(told.code.in_(BACK), told.occurred_at <= now, told.is_own())
        .group_by(loss.id)
    )
    for number, at in session.execute(ended).all():
        gone = {"back_at": at, "proof": BY_EVENT}
        session.execute(update(loss).where(loss.id == number).values(gone))


def _back(session: Session, meter: str, at: datetime) -> None:
    """Ends the losses before; the meter's own word is more exact than a reading's time."""
    session.execute(
        update(PowerLoss)
        .where(
            PowerLoss.meter == meter,
            PowerLoss.lost_at <= at,
            or_(
                PowerLoss.back_at.is_(None),
                (PowerLoss.proof == BY_READING) & (PowerLoss.back_at > at),
            ),
        )
        .values(back_at=at, proof=BY_EVENT)
    )


def read_again(session: Session, captured_at: Mapping[str, int]) -> int:
    """Ends losses of meters that captured something since; returns how many.

    Args:
        session: In a writing transaction.
        captured_at: When each meter captured its newest reading, epoch seconds.
    """
    loss = PowerLoss
    lasts = loss.settled.is_(False), loss.back_at.is_(None)
    query = select(loss.id, loss.meter, loss.lost_at).where(*lasts)
    ended: list[dict[str, object]] = []
    for number, meter, lost_at in session.execute(query):
        read = captured_at.get(meter)
        if read is not None and read >= (lost_at + SETTLES).timestamp():
            back_at = datetime.fromtimestamp(read, UTC)
            ended.append({"id": number, "back_at": back_at, "proof": BY_READING})
    if ended:
        session.execute(update(loss), ended)
    return len(ended)
