"""Meters: lists, one meter with all about it, its latest values, curves, gaps and events."""

import asyncio
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority import facts, life, rules, timing
from hesper_cloud.authority.kinds import DISCONNECT, RECONNECT
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import LIVE_GAPS, Event, Gap, Gateway, Meter
from hesper_cloud.services import asset_rows, journal, meter_list
from hesper_cloud.services.archived import end_of_archive
from hesper_cloud.services.commands import command_row
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.looking import looked_at
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
from hesper_cloud.services.scope import check_meter, narrowed
from hesper_cloud.services.sources import Sources, epoch, instant, require
from hesper_cloud.worded import told_by, worded

_MAX_ROWS = 1000


class Meters:
    """Reads the registry, the store and the latest values; changes nothing."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def page(self, actor: Actor, query: MeterQuery) -> Page[MeterRow]:
        """Returns one page of the meters that match."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(meter_list.page, self._sources, actor, query)

    async def get(self, actor: Actor, meter_id: str) -> MeterDetail:
        """Returns one meter; where its load is known, that is a look at its newest values.

        Raises:
            NotFound: there is none with this serial number.
            Unavailable: the look cannot be written down.
        """
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter_id)
        found = await asyncio.to_thread(self._detail, meter_id)
        if found.load_w is not None:
            looked_at(self._sources, actor, "latest", meter_id)
        return found

    async def row(self, actor: Actor, meter_id: str) -> MeterRow:
        """Returns one meter as a list shows it, which tells nothing of what is used there.

        Raises:
            NotFound: there is none with this serial number.
        """
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter_id)
        return await asyncio.to_thread(self._row, meter_id)

    async def latest(self, actor: Actor, meter_id: str) -> list[LatestValue]:
        """Returns the newest value of each quantity, by logical name."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter_id)
        looked_at(self._sources, actor, "latest", meter_id)
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
        await check_meter(self._sources.registry, actor, meter_id)
        span = (epoch(start), epoch(end))
        looked_at(self._sources, actor, "series", meter_id, span)
        found = await asyncio.to_thread(
            self._sources.store.series, meter_id, profile, logical_name, *span, step_s
        )
        return Series(
            logical_name=logical_name,
            times=found.times,
            values=found.values,
            quality=found.quality,
            scaler=found.scaler,
            unit=found.unit,
            symbol=quantities.symbol(found.unit),
            archived_before=await end_of_archive(self._sources, start),
        )

    async def gaps(
        self, actor: Actor, meter_id: str, start: datetime, end: datetime
    ) -> list[GapRow]:
        """Returns the gaps that touch a range, open and closed, oldest first."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter_id)
        query = select(Gap).where(Gap.meter == meter_id, Gap.from_at < end, Gap.to_at >= start)
        return await asyncio.to_thread(
            journal.gaps, self._sources.registry, query.order_by(Gap.from_at)
        )

    async def open_gaps(self, actor: Actor, limit: int = 200) -> list[GapRow]:
        """Returns the gaps of all meters that may still be filled, newest first."""
        require(actor, Permission.READ)
        query = narrowed(select(Gap), actor, Gap.meter)
        query = query.where(Gap.state.in_(LIVE_GAPS)).order_by(Gap.from_at.desc())
        return await asyncio.to_thread(
            journal.gaps, self._sources.registry, query.limit(min(limit, _MAX_ROWS))
        )

    async def events(
        self,
        actor: Actor,
        meter_id: str | None = None,
        limit: int = 100,
        severity: str | None = None,
    ) -> list[EventRow]:
        """Returns the newest events of one meter or of all, of one severity or of any."""
        require(actor, Permission.READ)
        query = narrowed(select(Event), actor, Event.meter, Event.gateway)
        query = query.order_by(Event.occurred_at.desc()).limit(min(limit, _MAX_ROWS))
        if meter_id is not None:
            query = query.where(Event.meter == meter_id)
        if severity is not None:
            query = query.where(Event.severity == severity)
        return await asyncio.to_thread(journal.events, self._sources.registry, query)

    def _row(self, meter_id: str) -> MeterRow:
        with reading(self._sources.registry) as session:
            meter = _known(session, meter_id)
            severity = meter_list.severities(session, [meter_id]).get(meter_id)
        return meter_list.row(meter, self._sources.settings.rules, self._sources.clock(), severity)

    def _detail(self, meter_id: str) -> MeterDetail:
        now = self._sources.clock()
        with reading(self._sources.registry) as session:
            meter = _known(session, meter_id)
            card = asset_rows.meter_cards(session, [meter])[0]
            gateway = session.get(Gateway, meter.gateway_id) if meter.gateway_id else None
            severity = meter_list.severities(session, [meter_id]).get(meter_id)
        pending, blocked, second_person = self._command_view(meter_id, now)
        load_w, load_at = self._load(meter_id)
        return MeterDetail(
            row=meter_list.row(meter, self._sources.settings.rules, now, severity),
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
            second_person=second_person,
            card=card,
        )

    def _command_view(
        self, meter_id: str, now: datetime
    ) -> tuple[CommandRow | None, dict[str, str | None], tuple[str, ...]]:
        """Returns the open command, what blocks another and which kinds two people must want."""
        meter = facts.meter_facts(self._sources.registry, meter_id)
        blocked: dict[str, str | None] = {}
        with reading(self._sources.authority) as session:
            pending = facts.open_command(session, meter_id, rules.near_supply(life.OPEN))
            policy = facts.active_policy(session)
            for kind in (DISCONNECT, RECONNECT):
                try:
                    known = rules.require_meter(meter, meter_id)
                    rules.check_sendable(session, policy, kind, known, now)
                    rules.check_requestable(session, policy, kind, known, now)
                    timing.check_hours(policy, kind, known.gateway or "", now)
                    blocked[kind] = None
                except rules.Denied as refusal:
                    blocked[kind] = told_by(refusal)
        return (command_row(pending) if pending else None), blocked, tuple(sorted(policy.four_eyes))

    def _load(self, meter_id: str) -> tuple[int | None, datetime | None]:
        latest = self._sources.latest
        drawn = latest.value(meter_id, quantities.ACTIVE_POWER_IMPORT)
        if drawn is None or drawn.value is None:
            return None, None
        load_w = quantities.figure(drawn.value, drawn.scaler)
        fed = latest.value(meter_id, quantities.ACTIVE_POWER_EXPORT)
        if load_w is not None and fed is not None and fed.value is not None:
            fed_w = quantities.figure(fed.value, fed.scaler)
            load_w = None if fed_w is None else quantities.figure(load_w - fed_w, 0)
        return load_w, instant(drawn.captured_at)


def _known(session: Session, meter_id: str) -> Meter:
    """Returns a meter of the registry.

    Raises:
        NotFound: there is none with this serial number, or it was deleted.
    """
    meter = session.get(Meter, meter_id)
    if meter is None or meter.deleted_at is not None:
        raise NotFound(worded("there is no meter {meter}", meter=meter_id))
    return meter
