"""From a percentage to the meters: who missed a level on a day, why, and at which hop."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import Event, Gap, Gateway, Meter
from hesper_cloud.gaps.causes import (
    OF_HOP,
    UNKNOWN,
    UNREACHABLE,
    Word,
    failing_hop,
    last_words,
)
from hesper_cloud.job_settings import ServiceLevel
from hesper_cloud.service_levels.counting import MeterDay, meter_days, owing
from hesper_cloud.service_levels.days import Day
from hesper_cloud.service_levels.keeping import METERS_AT_ONCE, deadline_of, stored
from hesper_cloud.stores.port import ReadingStore

LATE = "late"


@dataclass(frozen=True, slots=True)
class Miss:
    """One meter that missed a level on a day.

    ``cause`` is the gap ledger's, or ``late`` where all was stored after the deadline; ``hop`` is
    where the gateway's visits to the meter stopped, on that day or for good before it, or, while
    something is missing, where most of the gateway's attempts have failed; None where it has told
    neither.
    """

    meter: str
    gateway: str | None
    due: int
    met: int
    cause: str
    hop: str | None


def misses(
    session: Session, store: ReadingStore, level: ServiceLevel, day: Day, now: datetime
) -> list[Miss]:
    """Returns the meters that missed a level on a day, worst first."""
    deadline, seconds = int(deadline_of(level, day).timestamp()), int(now.timestamp())
    short = [
        each
        for some in batched(owing(session, level.profile, day.span), METERS_AT_ONCE)
        for each in meter_days(some, stored(store, level.profile, day.span), day.span, seconds)
        if each.met(deadline) < each.due
    ]
    causes = _causes(session, level.profile, day)
    hops = _hops(session, [each.meter for each in short], day)
    gateways = _gateways(session, short)
    found = []
    for each in short:
        gateway, is_late = gateways.get(each.meter), bool(each.stored_at.all())
        found.append(
            Miss(
                each.meter,
                gateway.id if gateway else None,
                each.due,
                each.met(deadline),
                causes.get(each.meter, LATE if is_late else UNKNOWN),
                hops.get(each.meter) or (None if is_late else failing_hop(gateway)),
            )
        )
    return sorted(found, key=lambda miss: (miss.met / miss.due, miss.meter))


def _causes(session: Session, profile: str, day: Day) -> dict[str, str]:
    """Returns the cause of each meter's longest gap that touches a day."""
    query = select(Gap).where(Gap.profile == profile, Gap.from_at < day.end, Gap.to_at >= day.start)
    rows = session.scalars(query.order_by(Gap.expected_count))
    return {gap.meter: gap.cause for gap in rows}


def _hops(session: Session, meters: Sequence[str], day: Day) -> dict[str, str]:
    """Returns where visits to meters stopped on a day, or had stopped before and not gone on."""
    before: dict[str, Word] = {}
    for some in batched(meters):
        before |= last_words(session, some, day.start)
    stopped = [
        (meter, word.attributes) for meter, word in before.items() if word.code == UNREACHABLE
    ]
    on_the_day = (
        select(Event.meter, Event.attributes)
        .where(Event.code == UNREACHABLE, Event.meter.is_not(None), Event.is_own())
        .where(Event.occurred_at >= day.start, Event.occurred_at < day.end)
        .order_by(Event.occurred_at)
    )
    stopped += [(meter, told) for meter, told in session.execute(on_the_day)]
    return {meter: str(told["hop"]) for meter, told in stopped if told.get("hop") in OF_HOP}


def _gateways(session: Session, short: Iterable[MeterDay]) -> dict[str, Gateway]:
    wanted = {each.meter for each in short}
    rows = session.execute(select(Meter.id, Gateway).join(Gateway, Gateway.id == Meter.gateway_id))
    return {meter: gateway for meter, gateway in rows if meter in wanted}
