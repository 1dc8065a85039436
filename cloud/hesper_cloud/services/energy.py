"""Energy over time: aggregates, bills, balances, the topology and series from outside."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.aggregates import balance, billing, buckets, calendar, outside, topology
from hesper_cloud.aggregates.balance import Balance
from hesper_cloud.aggregates.billing import Bill
from hesper_cloud.aggregates.buckets import Bucket, Step
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.outside import SeriesBatch, SeriesRefused
from hesper_cloud.aggregates.topology import Topology, TopologyError
from hesper_cloud.assets import grid
from hesper_cloud.assets.history import By
from hesper_cloud.db.energy import OutsideSeries
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound
from hesper_cloud.services.looking import looked_at
from hesper_cloud.services.scope import check_meter, seen_meters
from hesper_cloud.services.sources import Sources, epoch, require
from hesper_cloud.worded import told_by, worded

BalanceStep = Literal["hour", "day", "month", "whole"]
MAX_BUCKETS = 20_000
_HOUR_S = 3600
_LEAST_S = {"hour": _HOUR_S, "day": 24 * _HOUR_S, "month": 28 * 24 * _HOUR_S}


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series from outside."""

    name: str
    scaler: int
    unit: int
    symbol: str
    source: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Joined:
    """Buckets, and beside each the mean of a series from outside; None where there is none."""

    buckets: list[Bucket]
    series: SeriesRow | None
    means: list[int | None]


class Energy:
    """What the energy book holds, and what belongs beside it."""

    def __init__(self, sources: Sources, shelf: Shelf, link: AuthorityLink) -> None:
        self._sources = sources
        self._shelf = shelf
        self._link = link

    def close(self) -> None:
        """Releases the energy book."""
        self._shelf.book.close()

    async def aggregates(
        self,
        actor: Actor,
        curve: tuple[str, str],
        start: datetime,
        end: datetime,
        step: Step,
        series: str | None = None,
    ) -> Joined:
        """Returns sums, counts and means of a meter's quantity, beside a series where one is asked.

        Raises:
            NotFound: there is no such series.
            Invalid: more buckets than one answer holds.
        """
        require(actor, Permission.READ)
        if step in ("half-hour", "hour") and (end - start) > timedelta(hours=MAX_BUCKETS / 2):
            raise Invalid(
                worded("ask for at most {max_buckets} buckets at a time", max_buckets=MAX_BUCKETS)
            )
        await check_meter(self._sources.registry, actor, curve[0])
        span = (epoch(start), epoch(end))
        looked_at(self._sources, actor, "aggregates", curve[0], span)
        return await asyncio.to_thread(self._aggregates, curve, span, step, series)

    def _aggregates(
        self, curve: tuple[str, str], span: tuple[int, int], step: Step, series: str | None
    ) -> Joined:
        zone = self._zone(curve[0])
        found = buckets.read(self._shelf.book, curve, span[0], span[1], step, zone)
        if series is None:
            return Joined(found, None, [])
        with reading(self._sources.registry) as session:
            row = session.get(OutsideSeries, series)
            if row is None:
                raise NotFound(worded("there is no series {series!r}", series=series))
            until = found[-1].ends_at if found else span[1]
            values = outside.points(session, series, span[0], until)
        return Joined(found, _series_row(row), outside.joined(found, values))

    async def bill(
        self, actor: Actor, curve: tuple[str, str], month: date, *, with_estimates: bool
    ) -> Bill:
        """Returns a month's billing reads of one register, reconciled with its intervals."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, curve[0])
        looked_at(self._sources, actor, "bill", curve[0])

        def found() -> Bill:
            zone = self._zone(curve[0])
            return billing.bill(self._shelf, curve, month, zone, with_estimates=with_estimates)

        return await asyncio.to_thread(found)

    async def balances(
        self, actor: Actor, element: str, start: datetime, end: datetime, step: BalanceStep
    ) -> list[Balance]:
        """Returns what flowed into an element, what its customers took, and the losses.

        Days and months are those of its meters; where these are of several zones, the house's. Of
        an element with a single customer it is a look at that one's data.

        Raises:
            NotFound: there is no such element.
            Invalid: the range is empty or holds too many steps.
        """
        require(actor, Permission.READ)
        known = await asyncio.to_thread(self._known)
        if element not in {part.id for part in known.parts}:
            raise NotFound(worded("there is no element {element!r}", element=element))
        below = known.below(element)
        meters = {place.meter for place in known.places if place.element in below}
        if await asyncio.to_thread(seen_meters, self._sources.registry, actor, meters) != meters:
            raise NotFound(worded("there is no element {element!r}", element=element))
        zone = await asyncio.to_thread(self._zone_below, sorted(meters))
        span = (epoch(start), epoch(end))
        for meter in sorted(known.alone(element, start, end)):
            looked_at(self._sources, actor, "balance", meter, span)

        def found() -> list[Balance]:
            edges = _edges(*span, step, zone)
            return balance.balances(self._shelf.book, known, element, edges, zone)

        return await asyncio.to_thread(found)

    async def topology(self, actor: Actor) -> Topology:
        """Returns the grid as it is known: of some areas, what leads to their meters."""
        require(actor, Permission.READ)
        known = await asyncio.to_thread(self._known)
        if actor.areas is None:
            return known
        meters = {place.meter for place in known.places}
        seen = await asyncio.to_thread(seen_meters, self._sources.registry, actor, meters)
        return known.leading_to(seen)

    def _known(self) -> Topology:
        with reading(self._sources.registry) as session:
            return topology.load(session)

    async def set_topology(self, actor: Actor, text: str) -> Topology:
        """Puts a CSV file in the place of the topology; audited before it counts.

        Raises:
            Invalid: the file contradicts itself.
        """
        require(actor, Permission.ADMINISTER)
        try:
            new = await asyncio.to_thread(topology.parse, text)
        except TopologyError as error:
            raise Invalid(told_by(error)) from None
        after = f"{len(new.parts)} elements, {len(new.places)} meters"
        await self._note(actor, "topology.set", "topology", after)

        def store() -> None:
            by = By(actor.username, self._sources.clock())
            with writing(self._sources.registry) as session:
                before = grid.standing(session, by.at)
                topology.store(session, new)
                grid.record_replacement(session, before, by)

        await asyncio.to_thread(store)
        return new

    async def bring_series(self, actor: Actor, batch: SeriesBatch) -> int:
        """Stores points of a series; returns how many. Audited before they count.

        Raises:
            Invalid: the series is known in another unit.
        """
        require(actor, Permission.BRING_SERIES)
        await self._note(actor, "series.bring", batch.series, f"{len(batch.points)} points")

        def store() -> None:
            with writing(self._sources.registry) as session:
                outside.store(session, batch, actor.username, self._sources.clock())

        try:
            await asyncio.to_thread(store)
        except SeriesRefused as error:
            raise Invalid(told_by(error)) from None
        return len(batch.points)

    async def series(self, actor: Actor) -> list[SeriesRow]:
        """Returns the series that are known."""
        require(actor, Permission.READ)

        def load() -> list[SeriesRow]:
            with reading(self._sources.registry) as session:
                rows = session.scalars(select(OutsideSeries).order_by(OutsideSeries.name))
                return [_series_row(row) for row in rows]

        return await asyncio.to_thread(load)

    async def _note(self, actor: Actor, action: str, subject: str, after: str) -> None:
        payload = {"action": action, "subject": subject, "after": after}
        await self._link.ask(actor, "audit.note", payload, f"{action}-{uuid.uuid4().hex}")

    def _zone_below(self, meters: Sequence[str]) -> ZoneInfo:
        """Returns the zone that the days of some meters have in common, else the house's."""
        validation = self._sources.settings.validation
        with reading(self._sources.registry) as session:
            zones = {
                validation.zone_of(area)
                for some in batched(meters)
                for area in session.scalars(select(Meter.area).where(Meter.id.in_(some)).distinct())
            }
        return zones.pop() if len(zones) == 1 else validation.zone_of(None)

    def _zone(self, meter: str) -> ZoneInfo:
        """Returns the zone of a meter's days.

        Raises:
            NotFound: there is no such meter.
        """
        with reading(self._sources.registry) as session:
            row = session.get(Meter, meter)
            if row is None:
                raise NotFound(worded("there is no meter {meter}", meter=meter))
            return self._sources.settings.validation.zone_of(row.area)


def _series_row(row: OutsideSeries) -> SeriesRow:
    symbol = quantities.symbol(row.unit)
    return SeriesRow(row.name, row.scaler, row.unit, symbol, row.source, row.updated_at)


def _edges(start: int, end: int, step: BalanceStep, zone: ZoneInfo) -> list[int]:
    """Returns where the steps of a range begin, and its end."""
    if end <= start:
        raise Invalid("the range is empty")
    if step == "whole":
        return [start, end]
    if end - start > MAX_BUCKETS * _LEAST_S[step]:
        raise Invalid(
            worded("ask for at most {max_buckets} steps at a time", max_buckets=MAX_BUCKETS)
        )
    if step == "hour":
        return [*range(start, end, _HOUR_S), end]
    days = calendar.days(calendar.day_of(start, zone), calendar.day_of(end - 1, zone))
    chosen = (day for day in days if step == "day" or day.day == 1)
    begins = (calendar.midnight(day, zone) for day in chosen)
    return [start, *(at for at in begins if start < at < end), end]
