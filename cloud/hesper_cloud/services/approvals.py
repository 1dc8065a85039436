"""The inbox of those who approve: all that waits for a second person, whatever it is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.services.batch_records import BatchView
from hesper_cloud.services.batches import Batches
from hesper_cloud.services.commands import Commands
from hesper_cloud.services.decisions import Decisions
from hesper_cloud.services.records import BreakGlassRow, CommandRow
from hesper_cloud.services.sources import require

ApprovalKind = Literal["command", "release", "batch", "review", "kill-switch"]
_MOST = 1000


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """One thing that waits.

    ``what`` is its kind in the MQTT contract; ``may_decide`` says whether this actor is allowed
    to: nobody decides what they asked for themselves. ``href`` is where it is decided.
    """

    kind: ApprovalKind
    id: str
    what: str
    subject: str
    requested_by: str
    reason: str
    requested_at: datetime
    until: datetime | None
    may_decide: bool
    href: str


class Approvals:
    """Gathers from commands, batches, break-glass and the kill switch; decides nothing itself."""

    def __init__(self, commands: Commands, batches: Batches, decisions: Decisions) -> None:
        self._commands = commands
        self._batches = batches
        self._decisions = decisions

    async def waiting(self, actor: Actor, kind: ApprovalKind | None = None) -> list[ApprovalRow]:
        """Returns what waits, that which runs out first in front."""
        require(actor, Permission.READ)
        rows = [row async for row in self._all(actor) if kind in (None, row.kind)]
        return sorted(rows, key=lambda row: (row.until is None, row.until or row.requested_at))

    async def _all(self, actor: Actor) -> AsyncIterator[ApprovalRow]:
        for command in await self._commands.list(actor, "awaiting_approval", None, _MOST):
            yield _of_command(actor, command, "command", "approve")
        for command in await self._commands.list(actor, "quarantined", None, _MOST):
            yield _of_command(actor, command, "release", "release")
        for batch in await self._batches.list(actor, "awaiting_approval", _MOST):
            yield _of_batch(actor, batch)
        for use in await self._decisions.broken(actor, unreviewed=True):
            yield _of_break_glass(actor, use)
        switch = await self._commands.kill_switch(actor)
        if switch.lift_asked_by is not None and switch.set_at is not None:
            by = switch.lift_asked_by
            yield ApprovalRow(
                kind="kill-switch",
                id="kill-switch",
                what="kill_switch.lift",
                subject="all commands",
                requested_by=by,
                reason=switch.reason or "",
                requested_at=switch.set_at,
                until=None,
                may_decide=_may(actor, by),
                href="/kill-switch",
            )


def _of_command(actor: Actor, command: CommandRow, kind: ApprovalKind, verb: str) -> ApprovalRow:
    return ApprovalRow(
        kind=kind,
        id=command.id,
        what=command.kind,
        subject=command.meter or command.gateway,
        requested_by=command.requester,
        reason=command.reason,
        requested_at=command.created_at,
        until=command.not_after,
        may_decide=_may(actor, command.requester),
        href=f"/commands/{command.id}/{verb}",
    )


def _of_batch(actor: Actor, batch: BatchView) -> ApprovalRow:
    meters = sum(batch.counts.values())
    return ApprovalRow(
        kind="batch",
        id=batch.id,
        what=batch.kind,
        subject=f"{meters} meters" if meters != 1 else "1 meter",
        requested_by=batch.requester,
        reason=batch.reason,
        requested_at=batch.proposed_at,
        until=batch.approve_until,
        may_decide=_may(actor, batch.requester),
        href=f"/batches/{batch.id}/approve",
    )


def _of_break_glass(actor: Actor, use: BreakGlassRow) -> ApprovalRow:
    return ApprovalRow(
        kind="review",
        id=use.command,
        what="break_glass.review",
        subject=use.command,
        requested_by=use.username,
        reason=use.reason,
        requested_at=use.at,
        until=use.review_until,
        may_decide=_may(actor, use.username),
        href=f"/break-glass/{use.command}/review",
    )


def _may(actor: Actor, requester: str) -> bool:
    return actor.may(Permission.APPROVE_COMMAND) and actor.username != requester
