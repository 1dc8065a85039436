"""Meters: lists, one meter with all about it, its latest values, curves, gaps and events."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, UnaryExpression, func, not_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority import facts, life, rules
from hesper_cloud.authority.policy import DISCONNECT, RECONNECT
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert, Event, Gap, Gateway, Meter
from hesper_cloud.services.alerts import SEVERITIES
from hesper_cloud.services.commands import command_row
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.presence import is_online, online_clause
from hesper_cloud.services.records import (
    CommandRow,
    EventRow,
    GapRow,
    LatestValue,
    MeterDetail,
    MeterQuery,
    MeterRow,
    Page,
    Series,
)
from hesper_cloud.services.sources import Sources, epoch, instant, require

_MAX_ROWS = 1000
_SORTS: dict[str, InstrumentedAttribute[object]] = {
    "id": Meter.id,
    "customer": Meter.customer,
    "address": Meter.address,
    "area": Meter.area,
    "gateway": Meter.gateway_id,
    "last_contact_at": Meter.last_contact_at,
    "relay": Meter.relay_output,
}


class Meters:
    """Reads the registry, the store and the latest values; changes nothing."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def page(self, actor: Actor, query: MeterQuery) -> Page[MeterRow]:
        """Returns one page of the meters that match."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._page, query)

    async def get(self, actor: Actor, meter_id: str) -> MeterDetail:
        """Returns one meter.

        Raises:
            NotFound: there is none with this serial number.
        """
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._detail, meter_id)

    async def latest(self, actor: Actor, meter_id: str) -> list[LatestValue]:
        """Returns the newest value of each quantity, by logical name; never waits."""
        require(actor, Permission.READ)
        return [
            LatestValue(
                profile=each.profile,
                logical_name=each.logical_name,
                name=quantities.name(each.logical_name),
                value=each.value,
                scaler=each.scaler,
                unit=each.unit,
                symbol=quantities.symbol(each.unit),
                captured_at=instant(each.captured_at),
                stored_at=instant(each.stored_at),
                quality=each.quality,
            )
            for each in self._sources.latest.of(meter_id)
        ]

    async def series(
        self,
        actor: Actor,
        meter_id: str,
        logical_name: str,
        start: datetime,
        end: datetime,
        step_s: int | None = None,
        profile: str = quantities.LOAD_PROFILE,
    ) -> Series:
        """Returns one curve of one profile; with ``step_s`` the last value of each step."""
        require(actor, Permission.READ)
        found = await asyncio.to_thread(
            self._sources.store.series,
            meter_id,
            profile,
            logical_name,
            epoch(start),
            epoch(end),
            step_s,
        )
        return Series(
            logical_name=logical_name,
            times=found.times,
            values=found.values,
            quality=found.quality,
            scaler=found.scaler,
            unit=found.unit,
            symbol=quantities.symbol(found.unit),
        )

    async def gaps(
        self, actor: Actor, meter_id: str, start: datetime, end: datetime
    ) -> list[GapRow]:
        """Returns the gaps that touch a range, open and closed, oldest first."""
        require(actor, Permission.READ)
        query = select(Gap).where(Gap.meter == meter_id, Gap.from_at < end, Gap.to_at >= start)
        return await asyncio.to_thread(self._gaps, query.order_by(Gap.from_at))

    async def open_gaps(self, actor: Actor, limit: int = 200) -> list[GapRow]:
        """Returns the open gaps of all meters, newest first."""
        require(actor, Permission.READ)
        query = select(Gap).where(Gap.state == "open").order_by(Gap.from_at.desc())
        return await asyncio.to_thread(self._gaps, query.limit(min(limit, _MAX_ROWS)))

    async def events(
        self, actor: Actor, meter_id: str | None = None, limit: int = 100
    ) -> list[EventRow]:
        """Returns the newest events of one meter, or of all."""
        require(actor, Permission.READ)
        query = select(Event).order_by(Event.occurred_at.desc()).limit(min(limit, _MAX_ROWS))
        if meter_id is not None:
            query = query.where(Event.meter == meter_id)
        return await asyncio.to_thread(self._events, query)

    def _page(self, query: MeterQuery) -> Page[MeterRow]:
        now = self._sources.clock()
        column = _SORTS.get(query.sort, _SORTS["id"])
        order: UnaryExpression[object] = column.desc() if query.descending else column.asc()
        with reading(self._sources.registry) as session:
            terms = self._terms(session, query, now)
            total = session.scalar(select(func.count()).select_from(Meter).where(*terms)) or 0
            rows = session.scalars(
                select(Meter)
                .where(*terms)
                .order_by(order.nulls_last(), Meter.id)
                .offset(max(0, query.offset))
                .limit(min(max(1, query.limit), _MAX_ROWS))
            ).all()
            severities = _severities(session, [meter.id for meter in rows])
        return Page(
            tuple(self._row(meter, now, severities.get(meter.id)) for meter in rows),
            total,
            query.offset,
        )

    def _terms(
        self, session: Session, query: MeterQuery, now: datetime
    ) -> list[ColumnElement[bool]]:
        terms: list[ColumnElement[bool]] = []
        for word in query.search.split():
            columns = (Meter.id, Meter.customer, Meter.address, Meter.area)
            terms.append(or_(*(column.icontains(word, autoescape=True) for column in columns)))
        if query.state in ("discovered", "commissioned"):
            terms.append(Meter.state == query.state)
        elif query.state is not None:
            online = online_clause(session, self._sources.settings.rules, now)
            silent = or_(not_(online), Meter.last_contact_at.is_(None))
            terms.append(online if query.state == "online" else silent)
        if query.relay is not None:
            wanted = {"connected": True, "disconnected": False}.get(query.relay)
            terms.append(Meter.relay_output.is_(wanted))
        if query.gateway is not None:
            terms.append(Meter.gateway_id == query.gateway)
        return terms

    def _row(self, meter: Meter, now: datetime, severity: str | None) -> MeterRow:
        return MeterRow(
            id=meter.id,
            state=meter.state,
            online=is_online(meter, self._sources.settings.rules, now),
            gateway=meter.gateway_id,
            customer=meter.customer,
            address=meter.address,
            area=meter.area,
            model=meter.model,
            firmware=meter.firmware,
            life_support=meter.life_support,
            last_contact_at=meter.last_contact_at,
            relay_output=meter.relay_output,
            relay_confirmed_at=meter.relay_confirmed_at,
            severity=severity,
        )

    def _detail(self, meter_id: str) -> MeterDetail:
        now = self._sources.clock()
        with reading(self._sources.registry) as session:
            meter = session.get(Meter, meter_id)
            if meter is None:
                raise NotFound(f"there is no meter {meter_id}")
            gateway = session.get(Gateway, meter.gateway_id) if meter.gateway_id else None
            severity = _severities(session, [meter_id]).get(meter_id)
        pending, blocked = self._command_view(meter_id, now)
        load_w, load_at = self._load(meter_id)
        return MeterDetail(
            row=self._row(meter, now, severity),
            logical_device_name=meter.logical_device_name,
            template=meter.template,
            capture_period_s=meter.capture_period_s,
            first_seen_at=meter.first_seen_at,
            gateway_state=gateway.state if gateway else None,
            relay_control=meter.relay_control,
            load_w=load_w,
            load_at=load_at,
            pending_command=pending,
            disconnect_blocked=blocked[DISCONNECT],
            reconnect_blocked=blocked[RECONNECT],
        )

    def _command_view(
        self, meter_id: str, now: datetime
    ) -> tuple[CommandRow | None, dict[str, str | None]]:
        """Returns the open command and, by the authority's own rules, what blocks another."""
        meter = facts.meter_facts(self._sources.registry, meter_id)
        blocked: dict[str, str | None] = {}
        with reading(self._sources.authority) as session:
            pending = facts.open_command(session, meter_id, life.OPEN)
            policy = facts.active_policy(session)
            for kind in (DISCONNECT, RECONNECT):
                try:
                    known = rules.require_meter(meter, meter_id)
                    rules.check_sendable(session, policy, kind, known, now)
                    rules.check_requestable(session, policy, kind, known, now)
                    blocked[kind] = None
                except rules.Denied as refusal:
                    blocked[kind] = str(refusal)
        return (command_row(pending) if pending else None), blocked

    def _load(self, meter_id: str) -> tuple[int | None, datetime | None]:
        latest = self._sources.latest
        drawn = latest.value(meter_id, quantities.ACTIVE_POWER_IMPORT)
        if drawn is None or drawn.value is None:
            return None, None
        load_w = quantities.whole(drawn.value, drawn.scaler)
        fed = latest.value(meter_id, quantities.ACTIVE_POWER_EXPORT)
        if fed is not None and fed.value is not None:
            load_w -= quantities.whole(fed.value, fed.scaler)
        return load_w, instant(drawn.captured_at)

    def _gaps(self, query: Select[Gap]) -> list[GapRow]:
        with reading(self._sources.registry) as session:
            return [
                GapRow(
                    id=gap.id,
                    meter=gap.meter,
                    profile=gap.profile,
                    from_at=gap.from_at,
                    to_at=gap.to_at,
                    expected_count=gap.expected_count,
                    cause=gap.cause,
                    state=gap.state,
                    noticed_at=gap.noticed_at,
                    closed_at=gap.closed_at,
                )
                for gap in session.scalars(query)
            ]

    def _events(self, query: Select[Event]) -> list[EventRow]:
        with reading(self._sources.registry) as session:
            return [
                EventRow(
                    id=event.id,
                    meter=event.meter,
                    gateway=event.gateway,
                    code=event.code,
                    severity=event.severity,
                    occurred_at=event.occurred_at,
                    stored_at=event.stored_at,
                    text=event.text,
                    attributes=event.attributes,
                )
                for event in session.scalars(query)
            ]


def _severities(session: Session, meters: Sequence[str]) -> dict[str, str]:
    """Returns the worst open alert of each meter that has one."""
    query = select(Alert.meter, Alert.severity).where(
        Alert.meter.in_(meters), Alert.state != "cleared"
    )
    worst: dict[str, str] = {}
    for meter, severity in session.execute(query):
        if meter is not None and (
            meter not in worst or SEVERITIES.index(severity) < SEVERITIES.index(worst[meter])
        ):
            worst[meter] = severity
    return worst
