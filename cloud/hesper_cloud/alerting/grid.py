"""Where meters hang: on elements of the topology, behind gateways, in areas."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import Element, ElementMeter, Gateway, Meter

GATEWAY, AREA = "gateway", "area"


class Part(NamedTuple):
    """One part of the grid; ``kind`` is that of its element, or gateway, or area."""

    kind: str
    id: str
    name: str
    element: bool  # of the topology

    @property
    def key(self) -> str:
        """What alerts that have it as their cause share."""
        return f"{'element' if self.element else self.kind}/{self.id}"


FLEET = Part("fleet", "all areas", "all areas", False)
"""On what all gateways hang: a broker, or the way to it."""


@dataclass(slots=True)
class Grid:
    """Where meters hang; what is not asked about is only counted."""

    parents: dict[str, str | None] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    sizes: Counter[str] = field(default_factory=Counter)  # meters by element, those below included
    element_of: dict[str, str] = field(default_factory=dict)
    gateway_of: dict[str, str] = field(default_factory=dict)
    area_of: dict[str, str] = field(default_factory=dict)
    gateway_sizes: Mapping[str, int] = field(default_factory=dict)
    area_sizes: Mapping[str, int] = field(default_factory=dict)

    def branches(self, part: Part) -> bool:
        """Says whether a part has others below it, as elements do."""
        known = self.parts.get(part.id)
        return part.element or (known is not None and not known.element)

    def size(self, part: Part) -> int:
        """Returns how many meters hang on a part."""
        if self.branches(part):
            return self.sizes[part.id]
        sizes = self.gateway_sizes if part.kind == GATEWAY else self.area_sizes
        return sizes.get(part.id, 0)

    def hangs_on(self, meter: str, part: Part) -> bool:
        """Says whether a meter is on a part, or on one below it."""
        if self.branches(part):
            return part.id in self.chain(self.element_of.get(meter, ""))
        places = self.gateway_of if part.kind == GATEWAY else self.area_of
        return places.get(meter) == part.id

    def chain(self, element: str) -> Iterator[str]:
        """Yields an element and those above it; a circle in the topology ends it."""
        seen: set[str] = set()
        at: str | None = element
        while at is not None and at in self.parts and at not in seen:
            seen.add(at)
            yield at
            at = self.parents.get(at)


def load(session: Session, meters: Collection[str], now: datetime) -> Grid:
    """Reads where some meters hang now, and how many hang on each part in all."""
    grid = Grid()
    elements = select(Element.id, Element.kind, Element.name, Element.parent)
    for element, kind, name, parent in session.execute(elements):
        grid.parts[element] = Part(kind, element, name, True)
        grid.parents[element] = parent
    holds = (ElementMeter.role == "customer") & ElementMeter.stands(now)
    for names in batched(sorted(meters)):
        places = select(ElementMeter.meter, ElementMeter.element).where(
            holds, ElementMeter.meter.in_(names)
        )
        grid.element_of.update(_pairs(session, places))
        _places(session, grid, names)
    counted = select(ElementMeter.element, func.count()).where(holds)
    for element, count in session.execute(counted.group_by(ElementMeter.element)):
        for above in grid.chain(element):
            grid.sizes[above] += count
    grid.gateway_sizes = _sizes(session, Meter.gateway_id)
    grid.area_sizes = _sizes(session, Meter.area)
    return grid


def of_gateways(session: Session) -> Grid:
    """Reads in which areas gateways are, as a grid in which these hang on the whole fleet."""
    grid = Grid()
    heard_of = Gateway.state.in_(("online", "offline")) & Gateway.deleted_at.is_(None)
    query = select(Gateway.id, Gateway.area).where(heard_of)
    for gateway, area in session.execute(query):
        place = area or FLEET.id
        grid.parts.setdefault(place, Part(AREA, place, place, False))
        grid.parents[place] = FLEET.id
        grid.element_of[gateway] = place
        grid.sizes[place] += 1
        grid.sizes[FLEET.id] += place != FLEET.id
    grid.parts[FLEET.id], grid.parents[FLEET.id] = FLEET, None
    return grid


def _places(session: Session, grid: Grid, names: Iterable[str]) -> None:
    query = select(Meter.id, Meter.gateway_id, Meter.area).where(Meter.id.in_(names))
    for meter, gateway, area in session.execute(query):
        if gateway is not None:
            grid.gateway_of[meter] = gateway
        if area is not None:
            grid.area_of[meter] = area


def _pairs(session: Session, query: Select[str, str]) -> dict[str, str]:
    return {row[0]: row[1] for row in session.execute(query)}


def _sizes(session: Session, column: InstrumentedAttribute[str | None]) -> dict[str, int]:
    query = select(column, func.count()).where(column.is_not(None), Meter.deleted_at.is_(None))
    return {str(name): int(count) for name, count in session.execute(query.group_by(column))}
