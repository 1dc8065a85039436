"""Events as they were told, found by group, code, place and time; the catalogue; outages."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Event, Meter
from hesper_cloud.events import catalogue
from hesper_cloud.events.catalogue import UNKNOWN, Group
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services import journal
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.records import EventRow
from hesper_cloud.services.rule_records import CatalogueRow, EventFilter
from hesper_cloud.services.scope import narrowed
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

T = TypeVar("T")
ORDERS = Orders(
    {
        "occurred_at": Order(Event.occurred_at, datetime),
        "stored_at": Order(Event.stored_at, datetime),
    },
    Order(Event.id, str),
    "-occurred_at",
)
ANY = EventFilter()
NEWEST = Asked()
_EQUAL = ("code", "severity", "meter", "gateway")


class Events:
    """Reads the events of meters and gateways; changes nothing."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def page(
        self, actor: Actor, wanted: EventFilter = ANY, asked: Asked = NEWEST
    ) -> tuple[list[EventRow], str | None]:
        """Returns events, newest first by default, and the cursor of the next page.

        Raises:
            Invalid: there is no such group.
        """
        require(actor, Permission.READ)
        query = narrowed(filtered(select(Event), wanted), actor, Event.meter, Event.gateway)

        def load(session: Session) -> tuple[list[EventRow], str | None]:
            rows, following = ORDERS.page(session, query, asked)
            return [journal.event_row(row) for row in rows], following

        return await self._read(load)

    async def catalogue(self, actor: Actor) -> list[CatalogueRow]:
        """Returns every code of the catalogue, then those that are stored and not in it.

        Who sees some areas alone gets no counts, which are of the whole fleet.
        """
        require(actor, Permission.READ)
        counted = select(Event.code, func.count()).group_by(Event.code)

        def load(session: Session) -> dict[str, int]:
            return dict(session.execute(counted).all())

        stored = await self._read(load) if actor.areas is None else {}
        known = catalogue.entries()
        rows = [_catalogue_row(code, stored.get(code, 0)) for code in known]
        strange = sorted(stored.keys() - known.keys())
        return rows + [_catalogue_row(code, stored[code]) for code in strange]

    async def _read(self, action: Callable[[Session], T]) -> T:
        def run() -> T:
            with reading(self._sources.registry) as session:
                return action(session)

        return await asyncio.to_thread(run)


def filtered(query: Select[Any], wanted: EventFilter) -> Select[Any]:
    """Returns a query for the events that a filter names.

    Raises:
        Invalid: there is no such group.
    """
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(Event, name) == value)
    if wanted.area is not None:
        there = select(Meter.id).where(Meter.area == wanted.area)
        query = query.where(Event.meter.in_(there))
    if wanted.start is not None:
        query = query.where(Event.occurred_at >= wanted.start)
    if wanted.end is not None:
        query = query.where(Event.occurred_at < wanted.end)
    return query if wanted.group is None else _of_group(query, wanted.group)


def _of_group(query: Select[Any], group: str) -> Select[Any]:
    if group == UNKNOWN:
        return query.where(Event.code.not_in(catalogue.entries()))
    if group not in set(Group):
        known = ", ".join([*Group, UNKNOWN])
        raise Invalid(
            worded("events are of the groups {known}; not {group!r}", known=known, group=group[:40])
        )
    return query.where(Event.code.in_(catalogue.codes_of([group])))


def _catalogue_row(code: str, stored: int) -> CatalogueRow:
    entry = catalogue.entries().get(code)
    return CatalogueRow(
        code=code,
        group=catalogue.group_of(code),
        severity="info" if entry is None else entry.severity,
        title=catalogue.title_of(code),
        ended_by=list(catalogue.ended_by(code)),
        stored=stored,
    )
