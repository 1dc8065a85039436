"""Where the fleet is: meters by cells of a grid, gateways, and feeders with what is wrong there.

A hundred thousand meters are never sent to a map: those in view are counted by cell, and a cell
says how many of them are silent or in alarm. Where nobody has written down coordinates, the feeders
are what there is to show. What is planned, in stock, removed or deleted is on no map, and nobody is
missed there.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, Subquery, case, cast, func, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.alerting.changes import is_open
from hesper_cloud.assets.kinds import ELEMENT
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert, Gateway, Meter
from hesper_cloud.rules.silence import unheard
from hesper_cloud.services import asset_scope, scope
from hesper_cloud.services.meter_filter import terms
from hesper_cloud.services.records import MeterQuery
from hesper_cloud.services.sources import Sources, require

MOST_CELLS = 2_000


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the map, degrees of WGS 84."""

    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """The meters of one cell: where their middle is, how many, and how many of them are not well.

    A meter counts once: as critical or warning by its worst open alert, else as silent.
    ``meter`` is named where there is one alone.
    """

    latitude: float
    longitude: float
    count: int
    critical: int
    warning: int
    silent: int
    meter: str | None


@dataclass(frozen=True, slots=True)
class Spot:
    """A gateway on the map."""

    id: str
    state: str  # unknown | online | offline
    latitude: float
    longitude: float
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """One part of the grid with the meters that hang at it directly."""

    id: str
    kind: str  # area | feeder | transformer
    name: str
    parent: str | None
    count: int
    critical: int
    warning: int
    silent: int


class Geography:
    """Every call checks the role, and shows what is in the actor's areas alone."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def extent(self, actor: Actor) -> Box | None:
        """Returns the box that holds all meters in service with coordinates; None without any."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._extent, actor)

    async def clusters(self, actor: Actor, query: MeterQuery, cell: float) -> Sequence[Cluster]:
        """Returns the meters that a question finds, by cells of ``cell`` degrees."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._clusters, actor, query, max(cell, 1e-5))

    async def gateways(self, actor: Actor) -> Sequence[Spot]:
        """Returns the gateways in service with coordinates."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._gateways, actor)

    async def branches(self, actor: Actor) -> Sequence[Branch]:
        """Returns the grid's elements, of some areas those that lead to meters there.

        With each come the meters of customers that are in service there now.
        """
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._branches, actor)

    def _extent(self, actor: Actor) -> Box | None:
        limits: Select[*tuple[Any, ...]] = select(
            func.min(Meter.latitude),
            func.min(Meter.longitude),
            func.max(Meter.latitude),
            func.max(Meter.longitude),
        ).where(
            Meter.latitude.is_not(None),
            Meter.longitude.is_not(None),
            in_service(),
            *scope.terms(actor),
        )
        with reading(self._sources.registry) as session:
            south, west, north, east = session.execute(limits).one()
        return None if south is None else Box(south, west, north, east)

    def _clusters(self, actor: Actor, query: MeterQuery, cell: float) -> list[Cluster]:
        # How a cast rounds differs between databases; which cell a meter is in may, too.
        row = cast((Meter.latitude + 90) / cell, Integer)
        column = cast((Meter.longitude + 180) / cell, Integer)
        sources, now = self._sources, self._sources.clock()
        with reading(sources.registry) as session:
            worst = _worst()
            wanted: Select[*tuple[Any, ...]] = select(
                func.avg(Meter.latitude),
                func.avg(Meter.longitude),
                func.count(),
                *self._counts(session, worst, now),
                func.min(Meter.id),
            )
            wanted = wanted.outerjoin(worst, worst.c.meter == Meter.id).where(
                Meter.latitude.is_not(None),
                Meter.longitude.is_not(None),
                *terms(session, query, sources.settings.rules, now),
                *scope.terms(actor),
            )
            found = session.execute(wanted.group_by(row, column).limit(MOST_CELLS)).all()
        return [
            Cluster(north, east, count, critical, warning, silent, first if count == 1 else None)
            for north, east, count, critical, warning, silent, first in found
        ]

    def _counts(
        self, session: Session, worst: Subquery, now: datetime
    ) -> tuple[ColumnElement[int], ...]:
        """Returns how many are critical, warned of, and silent without an alert, as columns."""
        silent = unheard(session, self._sources.settings.rules, now)
        severity = func.coalesce(worst.c.rank, 0)
        return (
            _sum(severity == _RANKS["critical"]),
            _sum(severity == _RANKS["warning"]),
            _sum((severity < _RANKS["warning"]) & silent),
        )

    def _gateways(self, actor: Actor) -> list[Spot]:
        place = (Gateway.latitude, Gateway.longitude)
        shown = (Gateway.id, Gateway.state, *place, Gateway.last_seen_at)
        query: Select[*tuple[Any, ...]] = select(*shown).where(
            Gateway.latitude.is_not(None),
            Gateway.longitude.is_not(None),
            in_service(Gateway),
            *scope.gateway_terms(actor, Gateway.id),
        )
        with reading(self._sources.registry) as session:
            return [Spot(*row) for row in session.execute(query.limit(MOST_CELLS))]

    def _branches(self, actor: Actor) -> list[Branch]:
        now = self._sources.clock()
        with reading(self._sources.registry) as session:
            worst = _worst()
            query: Select[*tuple[Any, ...]] = (
                select(ElementMeter.element, func.count(), *self._counts(session, worst, now))
                .join(Meter, Meter.id == ElementMeter.meter)
                .outerjoin(worst, worst.c.meter == Meter.id)
                .where(
                    ElementMeter.role == "customer",
                    ElementMeter.stands(now),
                    in_service(),
                    *scope.terms(actor),
                )
                .group_by(ElementMeter.element)
            )
            counts = {row[0]: row[1:] for row in session.execute(query)}
            seen = asset_scope.clause(actor, ELEMENT)
            shown = select(Element).where(*([] if seen is None else [seen]))
            elements = session.scalars(shown.order_by(Element.id)).all()
            return [
                Branch(each.id, each.kind, each.name, each.parent, *counts.get(each.id, _NONE))
                for each in elements
            ]


_RANKS = {"critical": 2, "warning": 1}
_NONE = (0, 0, 0, 0)


def _worst() -> Subquery:
    """Returns the worst open alert of each meter that has one, by rank."""
    rank = func.max(case(_RANKS, value=Alert.severity, else_=0)).label("rank")
    query = select(Alert.meter, rank).where(is_open(), Alert.meter.is_not(None))
    return query.group_by(Alert.meter).subquery("worst")


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
