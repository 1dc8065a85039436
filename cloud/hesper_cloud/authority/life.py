"""The life of a command: one table of states, and the only way to move along it.

Theory of operation::

    draft ─→ awaiting_approval ─→ queued ─→ sent ─→ acknowledged ─→ executing ─→ confirmed
                  │                 │        └──────────┴──────────────┴──────→ failed, rejected,
                  └─ rejected, expired, cancelled                               expired, unknown

Quarantined, between approval and queue, is what would be more disconnects than the policy lets go
without the word of two more people; it ends as what awaits approval does. Confirmed, failed,
rejected, expired and cancelled are terminal. Unknown means that the gateway did not answer in time:
it is left by a late signed result, or by reading the relay. `move` writes the audit row first and
the new state after it, in one transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.worded import wording

_OUTCOMES = frozenset({"confirmed", "failed", "rejected", "expired", "unknown"})
NEXT: dict[str, frozenset[str]] = {
    "draft": frozenset({"awaiting_approval", "quarantined", "queued"}),
    "awaiting_approval": frozenset({"quarantined", "queued", "rejected", "expired", "cancelled"}),
    "quarantined": frozenset({"queued", "rejected", "expired", "cancelled"}),
    "queued": frozenset({"sent", "rejected", "expired", "cancelled"}),
    "sent": frozenset({"acknowledged", "executing"}) | _OUTCOMES,
    "acknowledged": frozenset({"executing"}) | _OUTCOMES,
    "executing": frozenset({"confirmed", "failed", "expired", "unknown"}),
    "unknown": frozenset({"confirmed", "failed", "rejected", "expired"}),
    "confirmed": frozenset(),
    "failed": frozenset(),
    "rejected": frozenset(),
    "expired": frozenset(),
    "cancelled": frozenset(),
}
TERMINAL = frozenset(state for state, following in NEXT.items() if not following)
OPEN = frozenset(NEXT) - TERMINAL
PENDING = OPEN - {"unknown"}
AT_GATEWAY = frozenset({"sent", "acknowledged", "executing"})


class ImpossibleMove(Exception):
    """The table has no such transition: our own mistake."""


@dataclass(frozen=True, slots=True)
class Move:
    """One transition: to which state, who makes it, and why."""

    to: str
    actor: str
    why: str


def subject(command: CommandRecord) -> str:
    """Returns how a command is called in the audit log."""
    return f"{command.kind} {command.meter or command.gateway} {command.id}"


def may_move(command: CommandRecord, to: str) -> bool:
    """Says whether the table allows the transition."""
    return to in NEXT[command.state]


def move(
    session: Session, command: CommandRecord, step: Move, at: datetime, **changes: Any
) -> None:
    """Audits and makes one transition; ``changes`` are further columns of the command.

    Raises:
        ImpossibleMove: the table does not allow it.
    """
    if not may_move(command, step.to):
        raise ImpossibleMove(f"{command.id}: {command.state} → {step.to}")
    entry = audit.Entry(
        actor=step.actor,
        action=f"command.{step.to}",
        subject=subject(command),
        before=command.state,
        after=step.to,
        why=str(step.why),
    )
    audit.append(session, at, entry)
    command.state = step.to
    command.updated_at = at
    command.detail, command.said = str(step.why) or None, wording(step.why)
    for name, value in changes.items():
        setattr(command, name, value)
