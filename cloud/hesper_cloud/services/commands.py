"""Commands to meters: asked for here, decided by the authority alone."""

import asyncio
import time
import uuid
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Select, select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.authority import CommandRecord, KillSwitch
from hesper_cloud.db.engines import reading
from hesper_cloud.paging import Asked
from hesper_cloud.services import ceilings, command_lists, wishes
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound, Refused
from hesper_cloud.services.records import (
    CommandRow,
    CommandWish,
    KillSwitchState,
    RelayAction,
)
from hesper_cloud.services.scope import check_addressee, check_meter, seen_meters, seen_rows
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import restored, worded

CommandRows = list[CommandRow]
_MAX_ROWS = 1000


class Commands:
    """Every call checks the role first; the authority checks all of it again."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._authority = sources.authority
        self._link = link

    async def request_relay(
        self,
        actor: Actor,
        meter: str,
        action: RelayAction,
        reason: str,
        serial_tail: str,
        idempotency_key: str,
    ) -> CommandRow:
        """Asks to disconnect, reconnect or read a relay; the same key makes one command.

        Raises:
            Refused, Unavailable, Invalid: as `AuthorityLink.ask` says.
        """
        require(actor, Permission.REQUEST_COMMAND)
        await check_meter(self._sources.registry, actor, meter)
        await self._check_budget(actor, f"relay.{action}", meter)
        payload = {"meter": meter, "action": action, "reason": reason, "serial_tail": serial_tail}
        return await self._asked(actor, f"relay.{action}", payload, idempotency_key)

    async def request(self, actor: Actor, wish: CommandWish, idempotency_key: str) -> CommandRow:
        """Asks for a command of any kind; the same key makes one command.

        Raises:
            Refused, Unavailable, Invalid: as `AuthorityLink.ask` says; Invalid also for a kind that
                is not issued and for parameters that it does not take.
        """
        require(actor, Permission.REQUEST_COMMAND)
        parameters = wishes.parameters_of(wish.kind, wish.parameters)
        await check_addressee(self._sources.registry, actor, wish.meter)
        await self._check_budget(actor, wish.kind, wish.meter)
        payload = asdict(wish) | {"parameters": parameters}
        return await self._asked(actor, wish.kind, payload, idempotency_key)

    async def _asked(
        self, actor: Actor, kind: str, payload: dict[str, Any], idempotency_key: str
    ) -> CommandRow:
        begun_ns = time.time_ns()
        outcome = await self._link.ask(actor, "command.request", payload, idempotency_key)
        self._sources.traces.asked(outcome["command"], kind, begun_ns)
        return await self.get(actor, outcome["command"])

    async def _check_budget(self, actor: Actor, kind: str, meter: str) -> None:
        """Refuses here what no budget has room for, and notes it."""
        try:
            await asyncio.to_thread(ceilings.check, self._sources, kind)
        except Refused as refusal:
            note = (actor.username, "disconnect.refused", meter, str(refusal))
            await asyncio.to_thread(self._link.leave_note, *note)
            raise

    async def approve(
        self, actor: Actor, command_id: str, password: str, idempotency_key: str = ""
    ) -> CommandRow:
        """Approves a waiting command; ``password`` is the approver's `Proof` as text."""
        require(actor, Permission.APPROVE_COMMAND)
        await self.get(actor, command_id)
        payload = {"command": command_id}
        await self._link.ask(
            actor, "command.approve", payload, idempotency_key or uuid.uuid4().hex, password
        )
        return await self.get(actor, command_id)

    async def reject(
        self, actor: Actor, command_id: str, reason: str, idempotency_key: str = ""
    ) -> CommandRow:
        """Turns a waiting command down."""
        require(actor, Permission.APPROVE_COMMAND)
        await self.get(actor, command_id)
        payload = {"command": command_id, "reason": reason}
        await self._link.ask(actor, "command.reject", payload, idempotency_key or uuid.uuid4().hex)
        return await self.get(actor, command_id)

    async def cancel(self, actor: Actor, command_id: str, idempotency_key: str = "") -> CommandRow:
        """Takes back a command that has not been signed."""
        require(actor, Permission.REQUEST_COMMAND)
        await self.get(actor, command_id)
        await self._link.ask(
            actor, "command.cancel", {"command": command_id}, idempotency_key or uuid.uuid4().hex
        )
        return await self.get(actor, command_id)

    async def list(
        self,
        actor: Actor,
        state: str | None = None,
        meter: str | None = None,
        limit: int = 100,
        gateway: str | None = None,
    ) -> CommandRows:
        """Returns commands newest first; ``state`` may be ``open`` for all that may change.

        With a gateway: those that are for itself. Those of batches are in the lists of their meters
        and gateways alone, where they do not hide the others.
        """
        require(actor, Permission.READ)
        query = command_lists.matching(state, meter, gateway)
        query = query.order_by(CommandRecord.created_at.desc())
        return await asyncio.to_thread(self._seen, actor, query, min(limit, _MAX_ROWS))

    async def page(
        self, actor: Actor, state: str | None, meter: str | None, asked: Asked
    ) -> tuple[CommandRows, str | None]:
        """Returns a page of the same, and the cursor of the next.

        Raises:
            BadPage: no such order, or the cursor is not one of this question's.
        """
        require(actor, Permission.READ)
        return await asyncio.to_thread(
            self._page, actor, command_lists.matching(state, meter), asked
        )

    async def get(self, actor: Actor, command_id: str) -> CommandRow:
        """Returns one command.

        Raises:
            NotFound: there is none with this id.
        """
        require(actor, Permission.READ)
        query = select(CommandRecord).where(CommandRecord.id == command_id)
        rows = await asyncio.to_thread(self._seen, actor, query, 1)
        if not rows:
            raise NotFound(worded("there is no command {command}", command=command_id))
        return rows[0]

    async def kill_switch(self, actor: Actor) -> KillSwitchState:
        """Returns how the kill switch stands."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._switch)

    async def set_kill_switch(
        self, actor: Actor, on: bool, reason: str, password: str, idempotency_key: str = ""
    ) -> KillSwitchState:
        """Engages it (one person, no password) or lifts it (two other approvers, by password)."""
        require(actor, Permission.ENGAGE_KILL_SWITCH if on else Permission.APPROVE_COMMAND)
        kind = "kill_switch.engage" if on else "kill_switch.lift"
        secret = "" if on else password
        await self._link.ask(
            actor, kind, {"reason": reason}, idempotency_key or uuid.uuid4().hex, secret
        )
        return await self.kill_switch(actor)

    def _seen(self, actor: Actor, query: Select[CommandRecord], limit: int) -> CommandRows:
        def page(offset: int, count: int) -> CommandRows:
            return self._rows(query.offset(offset).limit(count))

        return seen_rows(self._sources.registry, actor, page, limit)

    def _page(
        self, actor: Actor, query: Select[CommandRecord], asked: Asked
    ) -> tuple[CommandRows, str | None]:
        following: str | None = asked.cursor
        while following is not None:
            asked = replace(asked, cursor=following)
            with reading(self._authority) as session:
                records, following = command_lists.ORDERS.page(session, query, asked)
            seen = seen_meters(self._sources.registry, actor, {each.meter for each in records})
            if rows := [command_row(each) for each in records if each.meter in seen]:
                return rows, following
        return [], None

    def _rows(self, query: Select[CommandRecord]) -> CommandRows:
        with reading(self._authority) as session:
            return [command_row(record) for record in session.scalars(query)]

    def _switch(self) -> KillSwitchState:
        with reading(self._authority) as session:
            row = session.get(KillSwitch, 1)
        if row is None:
            return KillSwitchState(False, None, None, None)
        return KillSwitchState(row.engaged, row.set_by, row.set_at, row.reason, row.lift_asked_by)


def command_row(record: CommandRecord) -> CommandRow:
    """Returns a stored command as the record that services give out."""
    return CommandRow(
        id=record.id,
        kind=record.kind,
        meter=record.meter,
        gateway=record.gateway,
        state=record.state,
        requester=record.requester,
        approver=record.approver,
        reason=record.reason,
        created_at=record.created_at,
        queued_at=record.queued_at,
        sent_at=record.sent_at,
        not_after=record.not_after,
        updated_at=record.updated_at,
        detail=record.detail and restored(record.detail, record.said),
        relay_before=record.relay_before,
        relay_after=record.relay_after,
        parameters=record.parameters,
        findings=record.findings,
    )
