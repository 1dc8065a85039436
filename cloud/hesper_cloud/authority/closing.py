"""How commands end that ran out of time: expired before they left, else unknown."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts, life, together
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.authority.kinds import KINDS
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.worded import worded

_SELF = "authority"
_AT_ONCE = 200
WAITS = "waits: "
"""With this the detail begins of a command that waits for its time."""


def close_overdue(authority: Engine, now: datetime, give_way: GiveWay) -> None:
    """Expires what was never sent and declares unknown what was not answered.

    Raises:
        GivesWay: the kill switch waits; what is closed by then is.
    """
    with reading(authority) as session:
        grace = timedelta(seconds=facts.active_policy(session).settle_grace_s)
        overdue = overdue_commands(session, now, grace)
    for some in batched(overdue, _AT_ONCE):
        give_way()
        with writing(authority) as session:
            for command in together.commands(session, some).values():
                step = closing_step(command, now, grace)
                if step is not None:
                    life.move(session, command, step, now)


def overdue_commands(session: Session, now: datetime, grace: timedelta) -> Sequence[str]:
    """Returns the commands whose last moment has come."""
    waiting = CommandRecord.state.in_(("awaiting_approval", "quarantined", "queued"))
    at_gateway = CommandRecord.state.in_(life.AT_GATEWAY)
    query = select(CommandRecord.id).where(
        (waiting & (CommandRecord.not_after <= now))
        | (at_gateway & (CommandRecord.not_after <= now - grace))
    )
    return session.scalars(query).all()


def closing_step(command: CommandRecord, now: datetime, grace: timedelta) -> life.Move | None:
    """Returns how a command ends now; None for not yet."""
    last = command.not_after
    if last is None or now < last:
        return None
    if command.state == "awaiting_approval":
        return life.Move("expired", _SELF, "nobody approved it in time")
    if command.state == "quarantined":
        return life.Move("expired", _SELF, "nobody released it in time")
    if command.state == "queued":
        held = command.detail or ""
        if not held.startswith(WAITS):
            return life.Move("expired", _SELF, "its turn did not come in time")
        why = worded("its turn did not come in time; it {held}", held=held)
        return life.Move("expired", _SELF, why)
    if command.state not in life.AT_GATEWAY or now < last + grace + _lasts(command):
        return None
    if KINDS[command.kind].reads and life.may_move(command, "expired"):
        return life.Move("expired", _SELF, "the gateway did not answer")
    return life.Move("unknown", _SELF, "no answer from the gateway; do not assume")


def _lasts(command: CommandRecord) -> timedelta:
    """Returns how long a command may take after its last moment, beside the policy's grace.

    The expiry of what the gap ledger asks for has room for that already.
    """
    if facts.is_backfill(command):
        return timedelta(0)
    seconds = KINDS[command.kind].takes_s + command.parameters.get("duration_s", 0)
    return timedelta(seconds=seconds)
