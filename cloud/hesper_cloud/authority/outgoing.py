"""What was signed and not answered yet: the same octets are published again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts, life
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.authority.kinds import MOVING
from hesper_cloud.db.authority import CommandRecord, KillSwitch
from hesper_cloud.db.engines import reading

_PORTION = 5_000  # of ids: hundredths of a second


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One signed command, ready to publish to its gateway until ``not_after``."""

    command_id: str
    gateway: str
    payload: bytes
    not_after: datetime


def outgoing_of(command: CommandRecord) -> Outgoing:
    """Returns what leaves of a command that is signed."""
    if command.envelope is None or command.not_after is None:
        raise life.ImpossibleMove(f"{command.id} is {command.state} without an envelope")
    return Outgoing(command.id, command.gateway, command.envelope, command.not_after)


def unanswered(authority: Engine, now: datetime, give_way: GiveWay) -> Iterator[Sequence[str]]:
    """Yields what was sent, is still valid, was not answered and is not stopped, as it was signed.

    Raises:
        GivesWay: the kill switch waits.
    """
    query = select(CommandRecord.id).where(
        CommandRecord.state == "sent", CommandRecord.not_after > now
    )
    with reading(authority) as session:
        query = query.where(*_not_stopped(session))
        query = query.order_by(CommandRecord.sent_at, CommandRecord.counter)
        found = session.scalars(query.execution_options(yield_per=_PORTION))
        for some in found.partitions():
            give_way()
            yield some


def still_to_go(authority: Engine, ids: Sequence[str], now: datetime) -> dict[str, Outgoing]:
    """Returns those of a few commands that `unanswered` would name now, by their ids."""
    query = select(CommandRecord).where(CommandRecord.id.in_(ids))
    with reading(authority) as session:
        found = session.scalars(query.where(*_not_stopped(session)))
        signed = [outgoing_of(command) for command in found if command.state == "sent"]
    return {outgoing.command_id: outgoing for outgoing in signed if outgoing.not_after > now}


def _not_stopped(session: Session) -> Iterator[ColumnElement[bool]]:
    """Yields what the kill switch leaves: what moves supplies does not go on after its lift."""
    switch = session.get(KillSwitch, 1)
    if switch is None or switch.set_at is None:
        return
    stopped = facts.active_policy(session).stopped
    if switch.engaged:
        yield CommandRecord.kind.not_in(stopped)
    yield or_(CommandRecord.kind.not_in(stopped & MOVING), CommandRecord.sent_at > switch.set_at)
