"""Which meters a rule is for, and where they are."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from fnmatch import fnmatchcase
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.alerting.grid import Grid, Part
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.registry import Element, ElementMeter, Meter
from hesper_cloud.rules.definition import Scope


class Where(NamedTuple):
    """One meter with what scopes ask of it."""

    meter: str
    area: str | None
    model: str | None
    template: str | None
    gateway: str | None


_WHERE = select(Meter.id, Meter.area, Meter.model, Meter.template, Meter.gateway_id).where(
    Meter.deleted_at.is_(None)
)


def members(session: Session, scope: Scope, at: datetime) -> frozenset[str] | None:
    """Returns the meters of a scope by where they hang at a moment; None when it is everything."""
    if scope.is_everything:
        return None
    found = {row[0] for row in session.execute(_WHERE) if _fits(scope, Where(*row))}
    if scope.elements:
        wanted = set(scope.elements)
        found &= {meter for meter, chain in _chains(session, at) if wanted & set(chain)}
    return frozenset(found)


def everyone(session: Session, scope: Scope, at: datetime) -> frozenset[str]:
    """Returns the meters of a scope that are in service by name, also when it is everything."""
    used = frozenset(session.scalars(select(Meter.id).where(in_service())))
    found = members(session, scope, at)
    return used if found is None else used & found


def _fits(scope: Scope, where: Where) -> bool:
    return all(
        _one_of(patterns, value)
        for patterns, value in (
            (scope.areas, where.area),
            (scope.models, where.model),
            (scope.templates, where.template),
            (scope.gateways, where.gateway),
        )
    )


def _one_of(patterns: tuple[str, ...], value: str | None) -> bool:
    return not patterns or any(fnmatchcase(value or "", pattern) for pattern in patterns)


def _chains(session: Session, at: datetime) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields the customers' meters with the elements that they hang on, lowest first."""
    parents = dict(session.execute(select(Element.id, Element.parent)).all())
    known = Grid(parents=parents, parts={each: Part("", each, "", True) for each in parents})
    places = select(ElementMeter.meter, ElementMeter.element).where(
        ElementMeter.role == "customer", ElementMeter.stands(at)
    )
    for meter, element in session.execute(places):
        yield meter, tuple(known.chain(element))


class Group(NamedTuple):
    """The meters of one place of a kind."""

    id: str
    name: str
    meters: frozenset[str]


def groups(session: Session, over: str, of: frozenset[str] | None, at: datetime) -> list[Group]:
    """Returns the meters of a scope by place: area, feeder, transformer, gateway or the fleet."""
    by_place: dict[str, set[str]] = defaultdict(set)
    names: dict[str, str] = {}
    if over in ("feeder", "transformer"):
        wanted = select(Element.id, Element.name).where(Element.kind == over)
        names.update(session.execute(wanted).all())
        for meter, chain in _chains(session, at):
            for element in names.keys() & chain:
                by_place[element].add(meter)
    else:
        for row in session.execute(_WHERE):
            where = Where(*row)
            place = {"area": where.area, "gateway": where.gateway, "fleet": "fleet"}[over]
            if place is not None:
                by_place[place].add(where.meter)
    return [
        Group(place, names.get(place, place), frozenset(found))
        for place, meters in sorted(by_place.items())
        if (found := meters if of is None else meters & of)
    ]
