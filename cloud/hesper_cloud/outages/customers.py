"""How many customers an outage concerns: who told of it, and who has been silent since.

Not every meter has the strength for last words. Those that hang on a part that is mostly lost and
captured nothing since it began count as well, until they are heard of.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.aggregates import topology
from hesper_cloud.db.engines import batched
from hesper_cloud.db.listed import listed
from hesper_cloud.db.registry import Element, ElementMeter, Meter
from hesper_cloud.db.rules import Outage
from hesper_cloud.outages.extent import MOSTLY, Loss
from hesper_cloud.outages.losses import SETTLES


class Counting:
    """Counts in one transaction; the topology is read once, however many outages there are."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @cached_property
    def _children(self) -> Mapping[str, Sequence[str]]:
        return topology.children_of(self._session.execute(select(Element.id, Element.parent)))

    def hanging(self, outage: Outage) -> set[str]:
        """Returns the customers' meters at the outage's part and below it when it began."""
        if outage.kind == "gateway":
            behind = select(Meter.id).where(Meter.gateway_id == outage.place)
            return set(self._session.scalars(behind))
        below = topology.hanging_below(self._children, outage.place)
        places = select(ElementMeter.meter).where(
            ElementMeter.element.in_(listed(self._session, below)),
            ElementMeter.role == "customer",
            ElementMeter.stands(outage.began_at),
        )
        return set(self._session.scalars(places))

    def distinct(self, meters: Collection[str]) -> int:
        """Returns how many customers some meters have; one without a customer counts as one."""
        owners: dict[str, object] = dict.fromkeys(meters)
        for names in batched(sorted(meters)):
            query = select(Meter.id, Meter.customer_id).where(Meter.id.in_(names))
            owners.update(self._session.execute(query).all())
        return len({meter if owner is None else owner for meter, owner in owners.items()})


def estimated(
    counting: Counting, outage: Outage, losses: Sequence[Loss], captured: Mapping[str, int]
) -> int:
    """Returns how many customers were, as far as is known, without power."""
    lost = {loss.meter for loss in losses}
    hanging = counting.hanging(outage)
    if MOSTLY.are(len(lost), len(hanging)):
        heard_from = (outage.began_at + SETTLES).timestamp()
        lost |= {meter for meter in hanging if captured.get(meter, 0) < heard_from}
    return counting.distinct(lost)


def who_told(counting: Counting, losses: Sequence[Loss]) -> int:
    """Returns how many customers the meters have that told of a loss."""
    return counting.distinct({loss.meter for loss in losses})
