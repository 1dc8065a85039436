"""An invented town for a site that is looked at: where meters and gateways stand, and their grid.

The feeders are those of the simulation, ten homes along a street that leaves a transformer. Meters
that only push stand in a row of their own. No such town exists; its middle is at a round number.
"""

import math
from collections.abc import Mapping, Sequence

from hesper_cloud.aggregates import topology
from hesper_cloud.aggregates.topology import Part, Place, Topology
from hesper_cloud.assets import keeping
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import AREA, GATEWAY, METER
from hesper_cloud.commissioning import MeterPaper
from hesper_cloud.db.registry import Area, Element, Gateway, Meter
from sqlalchemy import select
from sqlalchemy.orm import Session

MIDDLE = (47.0, 8.0)
_NEXT_DOOR, _FIRST_DOOR = 0.00035, 0.0012  # degrees of latitude: some 40 m, some 130 m
_WIDTH = math.cos(math.radians(MIDDLE[0]))
_STREETS = 13
"""Directions that streets leave in; one more than a full circle would be the first again."""


def enter(
    session: Session, papers: Sequence[MeterPaper], feeders: Mapping[str, int], by: By
) -> None:
    """Places every meter and gateway of a site, and draws its grid where there is none."""
    spots: dict[str, list[tuple[float, float]]] = {}
    doors: dict[int, int] = {}
    alone = max(feeders.values(), default=-1) + 1
    for paper in papers:
        feeder = feeders.get(paper.id, alone)
        doors[feeder] = doors.get(feeder, -1) + 1
        spot = _spot(feeder, doors[feeder])
        keeping.change(session, METER, session.get_one(Meter, paper.id), _at(spot), by)
        for place in (paper.gateway, paper.area or ""):
            spots.setdefault(place, []).append(spot)
    for row in session.scalars(select(Gateway)).all():
        if row.id in spots:
            keeping.change(session, GATEWAY, row, _at(_middle(spots[row.id])), by)
    for area in session.scalars(select(Area)).all():
        if area.name in spots:
            keeping.change(session, AREA, area, _at(_middle(spots[area.name])), by)
    if session.scalar(select(Element.id).limit(1)) is None:
        topology.store(session, _grid(papers, feeders))


def _grid(papers: Sequence[MeterPaper], feeders: Mapping[str, int]) -> Topology:
    """Returns areas, a transformer and its feeder for each street, and the meters along it."""
    parts: dict[str, Part] = {}
    places = []
    for paper in papers:
        feeder = feeders.get(paper.id)
        if feeder is None or paper.area is None:
            continue
        area = f"area-{paper.area.lower().replace(' ', '-')}"
        transformer, line = f"transformer-{feeder + 1}", f"feeder-{feeder + 1}"
        for part in (
            Part(area, "area", paper.area, None),
            Part(transformer, "transformer", f"Transformer {feeder + 1}", area),
            Part(line, "feeder", f"Feeder {feeder + 1}", transformer),
        ):
            parts.setdefault(part.id, part)
        places.append(Place(paper.id, line, "customer", topology.ALWAYS, None))
    grid = Topology(tuple(parts.values()), tuple(places))
    topology.check(grid)
    return grid


def _spot(feeder: int, door: int) -> tuple[float, float]:
    """Returns where a home stands, its street bent a little; from the middle outwards."""
    around, ring = feeder % _STREETS, feeder // _STREETS
    reach = _FIRST_DOOR + _NEXT_DOOR * door + ring * _FIRST_DOOR * 4
    turn = 2 * math.pi * around / _STREETS + 0.03 * door
    north = MIDDLE[0] + reach * math.cos(turn)
    return round(north, 6), round(MIDDLE[1] + reach * math.sin(turn) / _WIDTH, 6)


def _middle(spots: Sequence[tuple[float, float]]) -> tuple[float, float]:
    north, east = (sum(each) / len(spots) for each in zip(*spots, strict=True))
    return round(north, 6), round(east, 6)


def _at(spot: tuple[float, float]) -> dict[str, float]:
    return {"latitude": spot[0], "longitude": spot[1]}
