"""How many customers an outage concerns: who told of it, and who has been silent since.

Not every meter has the strength for last words. Those that hang on a part that is mostly lost and
captured nothing since it began count as well, until they are heard of.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.alerting.grid import Grid, Part
from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import Element, ElementMeter, Meter
from hesper_cloud.db.rules import Outage
from hesper_cloud.outages.extent import MOSTLY, Loss
from hesper_cloud.outages.losses import SETTLES


def estimated(
    session: Session, outage: Outage, losses: Sequence[Loss], captured: Mapping[str, int]
) -> int:
    """Returns how many customers were, as far as is known, without power."""
    lost = {loss.meter for loss in losses}
    hanging = _hanging(session, outage)
    if MOSTLY.are(len(lost), len(hanging)):
        heard_from = (outage.began_at + SETTLES).timestamp()
        lost |= {meter for meter in hanging if captured.get(meter, 0) < heard_from}
    return _distinct(session, lost)


def who_told(session: Session, losses: Sequence[Loss]) -> int:
    """Returns how many customers the meters have that told of a loss."""
    return _distinct(session, {loss.meter for loss in losses})


def _hanging(session: Session, outage: Outage) -> set[str]:
    """Returns the customers' meters at the outage's part and below it when it began."""
    if outage.kind == "gateway":
        return set(session.scalars(select(Meter.id).where(Meter.gateway_id == outage.place)))
    parents = dict(session.execute(select(Element.id, Element.parent)).all())
    if outage.place not in parents:
        return set()
    known = Grid(parents=parents, parts={each: Part("", each, "", True) for each in parents})
    below = {element for element in parents if outage.place in known.chain(element)}
    places = select(ElementMeter.meter).where(
        ElementMeter.element.in_(below),
        ElementMeter.role == "customer",
        ElementMeter.stands(outage.began_at),
    )
    return set(session.scalars(places))


def _distinct(session: Session, meters: Collection[str]) -> int:
    """Returns how many customers some meters have; one without a customer counts as one."""
    owners: dict[str, object] = dict.fromkeys(meters)
    for names in batched(sorted(meters)):
        query = select(Meter.id, Meter.customer_id).where(Meter.id.in_(names))
        owners.update(session.execute(query).all())
    return len({meter if owner is None else owner for meter, owner in owners.items()})
