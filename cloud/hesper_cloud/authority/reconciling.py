"""Commands that stayed unknown are settled by what was read of the relay after their last moment.

A reading shows what a command came to unless a later one can have moved the relay since. So the
signed result of a later one, which says where the relay stood before it acted, counts first; where
it does not say, nobody can tell any more, and that is what is said then.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hesper_contracts.results import CommandResult
from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import evidence, life
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.authority.kinds import MOVING, READ
from hesper_cloud.authority.many import many_meters
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.worded import later, worded

_AT_ONCE = 200
_NOT_MOVED = ("rejected", "expired", "cancelled")
_READ = later("reconciled: the relay was read {state}")
_MOVED_SINCE = later(
    "whether it was carried out is not known: a later command may have moved the relay before it "
    "was read {state}"
)


class _Found(NamedTuple):
    """Where a relay stood at a time, and the command that had not moved it yet, if one looked."""

    output: bool
    control: int | None
    at: datetime
    before: str = ""


def by_result(
    session: Session, command: CommandRecord, result: CommandResult, now: datetime
) -> None:
    """Settles earlier commands by where the relay stood when a later one was about to act."""
    seen = result.relay_before
    if seen is None or command.sent_at is None:
        return
    earlier = (CommandRecord.meter == command.meter) & (CommandRecord.not_after < command.sent_at)
    found = _Found(seen.output, seen.control_state, command.sent_at, command.id)
    for each in _unknown(session, earlier):
        _judge(session, each, found, now)


def by_readings(registry: Engine, authority: Engine, give_way: GiveWay, now: datetime) -> None:
    """Settles unknown commands by the readings that the registry has of their relays.

    Raises:
        GivesWay: the kill switch waits; what is settled by then is.
    """
    with reading(authority) as session:
        unknown = _unknown(session)
    for some in batched(unknown, _AT_ONCE):
        give_way()
        _by_readings(registry, authority, some, now)


def _by_readings(
    registry: Engine, authority: Engine, unknown: Sequence[CommandRecord], now: datetime
) -> None:
    meters = many_meters(registry, [command.meter for command in unknown])
    for command in unknown:
        meter = meters.get(command.meter)
        read_at = None if meter is None else meter.relay_read_at(now)
        if meter is None or read_at is None or meter.relay_output is None:
            continue
        if command.not_after is not None and read_at > command.not_after:
            with writing(authority) as session:
                found = _Found(meter.relay_output, meter.relay_control, read_at)
                _judge(session, session.get_one(CommandRecord, command.id), found, now)


def _judge(session: Session, command: CommandRecord, found: _Found, now: datetime) -> None:
    reached = evidence.reached(command.kind, found.output, found.control)
    moving = [] if reached else _later(session, command, found)
    if command.state != "unknown" or any(each.state in life.PENDING for each in moving):
        return
    words = _MOVED_SINCE if moving else _READ
    _settle(session, command, found.output, reached=reached, words=words, now=now)


def _later(session: Session, command: CommandRecord, found: _Found) -> Sequence[CommandRecord]:
    """Returns the commands that can have moved the relay between this one and its reading."""
    query = select(CommandRecord).where(
        CommandRecord.meter == command.meter,
        CommandRecord.kind.in_(MOVING - {READ}),
        CommandRecord.sent_at > command.sent_at,
        CommandRecord.sent_at <= found.at,
        CommandRecord.state.not_in(_NOT_MOVED),
        CommandRecord.id != found.before,
    )
    return session.scalars(query).all()


def _unknown(session: Session, *which: ColumnElement[bool]) -> Sequence[CommandRecord]:
    query = select(CommandRecord).where(
        CommandRecord.state == "unknown", CommandRecord.kind.startswith("relay."), *which
    )
    return session.scalars(query).all()


def _settle(
    session: Session,
    command: CommandRecord,
    output: bool,
    *,
    reached: bool,
    words: str,
    now: datetime,
) -> None:
    why = worded(words, state="connected" if output else "disconnected")
    step = life.Move("confirmed" if reached else "failed", "authority", why)
    life.move(session, command, step, now, relay_after=output)
