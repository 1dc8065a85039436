"""The first page: figures, the fleet's load, completeness, and what needs attention.

What costs a scan of the store is computed at most every half minute, and so seldom that it takes a
twentieth of the time, and shared by all who ask.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.alerting.children import is_shown
from hesper_cloud.assets.lives import in_service
from hesper_cloud.authority import facts, life
from hesper_cloud.authority.policy import JOBS
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import LIVE_GAPS, Alert, DeadLetter, Gap, Gateway, Meter
from hesper_cloud.rules.own_links import BrokerLoss
from hesper_cloud.rules.silence import unheard
from hesper_cloud.services import alert_queries, completeness
from hesper_cloud.services.attention import needs_attention
from hesper_cloud.services.captured import captured_lately
from hesper_cloud.services.kept import Kept
from hesper_cloud.services.records import (
    FOR_PEOPLE,
    AttentionRow,
    CompletenessHour,
    FleetLoad,
    Overview,
)
from hesper_cloud.services.scope import gateway_terms, narrowed, seen_meters
from hesper_cloud.services.sources import Sources, instant, require
from hesper_cloud.stores.port import StoreUnavailable

READS_TARGET_PCT = 99.5
_DAY_S = 86_400
_STEP_S = 900
_KEEP_S, _TIMES = 30.0, 20
_LOAD_FRESH_S = 900
_MOST_KEPT = 100
Areas = tuple[str, ...] | None
_NOBODY = Actor("overview", Role.VIEWER)


class _CommandFigures(NamedTuple):
    """How many commands are open: on their way (some of them in batches), or before a person."""

    in_flight: int
    awaiting: int
    in_batches: int
    engaged: bool


class _Load(NamedTuple):
    """The fleet's load now and a day ago, and when its newest value was captured."""

    watts: int | None = None
    yesterday: int | None = None
    newest_at: datetime | None = None


class _OfAreas(NamedTuple):
    """What is kept for those who see the same areas."""

    figures: Kept[Overview]
    ledger: Kept[completeness.Ledger]


class OverviewService:
    """Answers from what was computed a moment ago."""

    def __init__(
        self, sources: Sources, readings_per_s: Callable[[], float], broker_loss: BrokerLoss
    ) -> None:
        self._sources = sources
        self._readings_per_s = readings_per_s
        self._broker_loss = broker_loss
        self._load = Kept(self._compute_load, _KEEP_S, _TIMES)
        self._kept: dict[Areas, _OfAreas] = {}

    async def figures(self, actor: Actor) -> Overview:
        """Returns the figures, at most half a second old; while the store is away, without it."""
        require(actor, Permission.READ)
        kept = self._of(actor)
        with contextlib.suppress(StoreUnavailable):
            await kept.ledger.get()
            await self._load.get()
        return await kept.figures.get()

    async def figures_now(self, actor: Actor) -> Overview:
        """Returns the figures, and does not wait for those that cost a scan of the store.

        Right after a start they are missing, for as long as that takes.
        """
        require(actor, Permission.READ)
        kept = self._of(actor)
        kept.ledger.renew()
        self._load.renew()
        return await kept.figures.get()

    def hears_broker(self) -> bool:
        """Says whether the head end has its broker, so that who is called online is so now."""
        return not self._broker_loss.is_lost()

    async def load_24h(self, actor: Actor) -> FleetLoad:
        """Returns the fleet's mean power over the last 24 h and the 24 h before.

        It is not divided by area: who sees some areas alone is told no values.
        """
        require(actor, Permission.READ)
        load = await self._load.get()
        if actor.areas is None:
            return load
        nothing: list[int | None] = [None] * len(load.times)
        return FleetLoad(load.times, nothing, nothing)

    async def completeness_by_hour(self, actor: Actor) -> list[CompletenessHour]:
        """Returns due and stored captures of the last 24 hours, oldest first."""
        require(actor, Permission.READ)
        ledger = await self._of(actor).ledger.get()
        return [
            CompletenessHour(instant(int(hour)), int(due), int(stored))
            for hour, due, stored in zip(ledger.hours, ledger.due, ledger.stored, strict=True)
        ]

    async def needs_attention(self, actor: Actor, limit: int = 7) -> list[AttentionRow]:
        """Returns what wants a person, grouped by cause, worst first."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(needs_attention, self._sources, actor, limit)

    def _of(self, actor: Actor) -> "_OfAreas":
        """Returns what is kept for those who see the same areas."""
        kept = self._kept.get(actor.areas)
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            of_areas = replace(_NOBODY, areas=actor.areas)
            kept = _OfAreas(
                Kept(lambda: self._compute_figures(of_areas), 0.5),
                Kept(lambda: self._compute_ledger(of_areas), _KEEP_S, _TIMES),
            )
            self._kept[actor.areas] = kept
        return kept

    def _compute_figures(self, actor: Actor) -> Overview:
        sources, now = self._sources, self._sources.clock()
        with reading(sources.registry) as session:
            silent = unheard(session, sources.settings.rules, now)
            meters = narrowed(select(func.count()).select_from(Meter), actor).where(in_service())
            meters_total = session.scalar(meters) or 0
            meters_online = meters_total - (session.scalar(meters.where(silent)) or 0)
            gaps = narrowed(select(func.count()).select_from(Gap), actor, Gap.meter)
            gaps_open = session.scalar(gaps.where(Gap.state.in_(LIVE_GAPS))) or 0
            open_alerts = select(func.count(), func.min(Alert.raised_at)).where(is_shown())
            open_alerts = alert_queries.seen(open_alerts, actor)
            alerts_open, _ = session.execute(open_alerts).one()
            critical, oldest = session.execute(
                open_alerts.where(Alert.severity == "critical")
            ).one()
            gateways = select(func.count()).select_from(Gateway).where(in_service(Gateway))
            gateways = gateways.where(*gateway_terms(actor, Gateway.id))
            gateways_total = session.scalar(gateways) or 0
            gateways_online = session.scalar(gateways.where(Gateway.state == "online")) or 0
            dead_letters = session.scalar(select(func.count()).select_from(DeadLetter)) or 0
            lost_since = self._broker_loss.since(session, now)
        commands = self._command_figures(actor)
        load = self._load_figures(now) if actor.areas is None else _Load()
        ledger = self._of(actor).ledger.value
        return Overview(
            at=now,
            meters_total=meters_total,
            meters_online=meters_online,
            reads_complete_pct=ledger.percent() if ledger else None,
            reads_target_pct=READS_TARGET_PCT,
            gaps_open=gaps_open,
            alerts_open=alerts_open,
            critical_alerts=critical,
            oldest_critical_at=oldest,
            readings_per_s=self._readings_per_s(),
            fleet_load_w=load.watts,
            fleet_load_yesterday_w=load.yesterday,
            fleet_load_at=load.newest_at,
            commands_in_flight=commands.in_flight,
            commands_awaiting_approval=commands.awaiting,
            gateways_total=gateways_total,
            gateways_online=gateways_online,
            dead_letters=dead_letters if actor.areas is None else 0,
            kill_switch=commands.engaged,
            commands_in_batches=commands.in_batches,
            broker_lost_since=lost_since,
        )

    def _command_figures(self, actor: Actor) -> _CommandFigures:
        is_open = CommandRecord.state.in_(life.OPEN) & (CommandRecord.requester != JOBS)
        told = CommandRecord.state, CommandRecord.batch.is_not(None)
        counts: Counter[tuple[str, bool]] = Counter()
        with reading(self._sources.authority) as session:
            engaged = facts.kill_switch_engaged(session)
            if actor.areas is None:
                for state, batched, count in session.execute(
                    select(*told, func.count()).where(is_open).group_by(*told)
                ):
                    counts[state, bool(batched)] += count
            else:
                found = session.execute(select(CommandRecord.meter, *told).where(is_open)).all()
                seen = seen_meters(self._sources.registry, actor, {row[0] for row in found})
                counts.update((row[1], bool(row[2])) for row in found if row[0] in seen)
        in_batches = sum(count for (_, batched), count in counts.items() if batched)
        awaiting = sum(counts[state, False] for state in FOR_PEOPLE)
        return _CommandFigures(counts.total() - awaiting, awaiting, in_batches, engaged)

    def _load_figures(self, now: datetime) -> _Load:
        since = int(now.timestamp()) - _LOAD_FRESH_S
        total = self._sources.latest.total(quantities.ACTIVE_POWER_IMPORT, since)
        curve = self._load.value
        yesterday = curve.yesterday[-1] if curve and curve.yesterday else None
        if total is None:
            return _Load(yesterday=yesterday)
        watts = quantities.figure(total.value, total.scaler)
        return _Load(watts, yesterday, instant(total.newest_at))

    def _compute_load(self) -> FleetLoad:
        end = int(self._sources.clock().timestamp()) // _STEP_S * _STEP_S
        start = end - 2 * _DAY_S
        found = self._sources.store.fleet_increase(
            quantities.LOAD_PROFILE, quantities.ACTIVE_ENERGY_IMPORT, start, end, _STEP_S
        )
        watts = {
            at: quantities.figure(value * (3600 // _STEP_S), found.scaler)
            for at, value in zip(found.times, found.values, strict=True)
        }
        times = list(range(end - _DAY_S, end, _STEP_S))
        return FleetLoad(
            times=times,
            today=[watts.get(at) for at in times],
            yesterday=[watts.get(at - _DAY_S) for at in times],
        )

    def _compute_ledger(self, actor: Actor) -> completeness.Ledger:
        sources, now = self._sources, int(self._sources.clock().timestamp())
        query = select(Meter.id, Meter.first_seen_at, Meter.capture_period_s).where(
            Meter.state == "commissioned"
        )
        query = narrowed(query, actor)
        with reading(sources.registry) as session:
            owing = {
                meter: completeness.Due(int(since.timestamp()), period_s)
                for meter, since, period_s in session.execute(query)
            }
        captured = captured_lately(sources, list(owing), now)
        default_s = sources.settings.rules.default_capture_period_s
        return completeness.count(owing, captured, now, default_s)
