"""Meters go into service and out of it, in the name of actors.

What the authority signs for (behind which gateway a meter is, what it calls itself, that its supply
is never cut) is said once, before the meter is in service. Nothing here changes it afterwards:
`commissioning` on the head end's machine does. A protection is asked of the authority before a
meter takes the place of one that has it.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.assets import exchange as exchanging
from hesper_cloud.assets import keeping, service_life
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import GATEWAY, METER
from hesper_cloud.authority import facts, life, rules
from hesper_cloud.authority.protecting import PROTECT
from hesper_cloud.db.assets import RegisterRead
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.services import asset_rows, asset_scope, register_reads
from hesper_cloud.services.asset_desk import AssetDesk, told
from hesper_cloud.services.asset_records import (
    ExchangeRow,
    ExchangeWish,
    MeterCard,
    RegisterRow,
    RegisterWish,
)
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, Refused
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded


class MeterLife:
    """Installs, commissions, exchanges and removes meters."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link
        self._desk = AssetDesk(sources, link)

    async def install(
        self,
        actor: Actor,
        meter: str,
        gateway: str | None,
        values: Mapping[str, Any],
        version: int | None = None,
    ) -> MeterCard:
        """Puts a meter where it is to work, behind a gateway where one is named.

        Raises:
            NotFound, Invalid, Refused, Stale: it is in service, or something named is not there.
        """
        asset_scope.require_keeper(actor, METER)

        def work(session: Session, by: By) -> MeterCard:
            row = self._found(session, actor, meter, version)
            if gateway is not None:
                asset_scope.require_seen(session, actor, GATEWAY, gateway)
            service_life.install(session, row, gateway, dict(values), by)
            asset_scope.require_still_seen(session, actor, METER, meter)
            return _card(session, row)

        return await self._desk.make(actor, "meter.install", f"meter {meter}", work)

    async def commission(
        self,
        actor: Actor,
        meter: str,
        first: RegisterWish | None = None,
        *,
        life_support: bool = False,
        version: int | None = None,
    ) -> MeterCard:
        """Takes a meter into service with a first read: a person's, else what it sent itself.

        Raises:
            NotFound, Refused, Stale: it is not installed, or nothing was read of it yet.
        """
        asset_scope.require_keeper(actor, METER)
        await asyncio.to_thread(self._require_seen, actor, meter)
        if first is not None:
            read = register_reads.told(self._sources, first)
        else:
            read = await asyncio.to_thread(register_reads.of_meter, self._sources, meter)

        def work(session: Session, by: By) -> MeterCard:
            row = self._found(session, actor, meter, version)
            service_life.commission(session, row, read, by, life_support=life_support)
            return _card(session, row)

        if life_support:
            await self._desk.rehearse(actor, work)
            await self._ask_protection(actor, meter, "")
        return await self._desk.make(actor, "meter.commission", f"meter {meter}", work)

    async def exchange(
        self, actor: Actor, meter: str, wish: ExchangeWish, version: int | None = None
    ) -> ExchangeRow:
        """Puts another meter in a meter's place, with what both registers showed.

        Raises:
            NotFound, Invalid, Refused, Stale: one of them does not do, or a command is open.
        """
        asset_scope.require_keeper(actor, METER)
        reason = _reason(wish.reason)
        final = register_reads.told(self._sources, wish.final)
        initial = register_reads.told(self._sources, _with_value(wish))
        await asyncio.to_thread(self._require_idle, actor, meter)

        def work(session: Session, by: By) -> ExchangeRow:
            old = self._found(session, actor, meter, version)
            new = self._found(session, actor, wish.new_meter)
            return asset_rows.exchange(exchanging.exchange(session, old, new, final, initial, by))

        await self._desk.rehearse(actor, work, reason)
        await self._ask_protection(actor, wish.new_meter, meter)
        return await self._desk.make(actor, "meter.exchange", f"meter {meter}", work, reason)

    async def remove(
        self,
        actor: Actor,
        meter: str,
        reason: str,
        final: RegisterWish | None = None,
        version: int | None = None,
    ) -> MeterCard:
        """Takes a meter out of service, with what its register showed where that is known.

        Raises:
            NotFound, Invalid, Refused, Stale: it is not in service, or a command is open.
        """
        asset_scope.require_keeper(actor, METER)
        why = _reason(reason)
        read = register_reads.told(self._sources, final) if final is not None else None
        await asyncio.to_thread(self._require_idle, actor, meter)

        def work(session: Session, by: By) -> MeterCard:
            row = self._found(session, actor, meter, version)
            service_life.remove(session, row, read, by)
            return _card(session, row)

        return await self._desk.make(actor, "meter.remove", f"meter {meter}", work, why)

    async def protect(self, actor: Actor, meter: str, reason: str) -> MeterCard:
        """Lists a meter's supply as one that is never cut; it is not taken back here.

        Raises:
            NotFound, Invalid: there is no such meter, or no reason.
        """
        asset_scope.require_keeper(actor, METER)
        why = _reason(reason)
        await asyncio.to_thread(self._require_seen, actor, meter)
        await self._ask_protection(actor, meter, "")

        def work(session: Session, by: By) -> MeterCard:
            row = self._found(session, actor, meter)
            keeping.alter(session, METER, row, {"life_support": True}, by)
            return _card(session, row)

        return await self._desk.make(actor, "asset.update", f"meter {meter}", work, why)

    async def registers(self, actor: Actor, meter: str) -> list[RegisterRow]:
        """Returns what registers showed when a meter went into service or out of it."""
        require(actor, Permission.READ)

        def load() -> list[RegisterRow]:
            query = select(RegisterRead).where(RegisterRead.meter == meter)
            with reading(self._sources.registry) as session:
                asset_scope.require_seen(session, actor, METER, meter)
                return asset_rows.registers(session.scalars(query.order_by(RegisterRead.id)).all())

        return await asyncio.to_thread(load)

    async def exchanges(self, actor: Actor, meter: str) -> list[ExchangeRow]:
        """Returns the exchanges that a meter took part in, newest first."""
        require(actor, Permission.READ)

        def load() -> list[ExchangeRow]:
            with reading(self._sources.registry) as session:
                asset_scope.require_seen(session, actor, METER, meter)
                return [asset_rows.exchange(row) for row in exchanging.exchanges(session, meter)]

        return await asyncio.to_thread(load)

    def _found(
        self, session: Session, actor: Actor, meter: str, version: int | None = None
    ) -> Meter:
        asset_scope.require_seen(session, actor, METER, meter)
        row: Meter = keeping.find(session, METER, meter, version)
        return row

    async def _ask_protection(self, actor: Actor, meter: str, like: str) -> None:
        payload = {"meter": meter, "like": like}
        await self._link.ask(actor, PROTECT, payload, f"protect-{uuid.uuid4().hex}")

    def _require_seen(self, actor: Actor, meter: str) -> None:
        with told(), reading(self._sources.registry) as session:
            self._found(session, actor, meter)

    def _require_idle(self, actor: Actor, meter: str) -> None:
        """Checks that no command that moves a meter's relay is on its way."""
        self._require_seen(actor, meter)
        with reading(self._sources.authority) as session:
            pending = facts.open_command(session, meter, rules.near_supply(life.OPEN))
        if pending is not None:
            state = pending.state.replace("_", " ")
            raise Refused(
                worded(
                    "a command for meter {meter} is {state}; wait for it, or cancel it",
                    meter=meter,
                    state=state,
                )
            )


def _with_value(wish: ExchangeWish) -> RegisterWish:
    """Returns what the new meter's register showed, of the same kind as the old one's."""
    return replace(wish.final, value=wish.initial_register)


def _reason(text: str) -> str:
    kept = " ".join(text.split())
    if not 3 <= len(kept) <= 500 or not kept.isprintable():
        raise Invalid("a reason has 3 to 500 characters")
    return kept


def _card(session: Session, row: Meter) -> MeterCard:
    session.flush()
    return asset_rows.meter_cards(session, [row])[0]
