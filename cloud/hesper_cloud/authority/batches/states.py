"""The states of batches and of their rows, and the only way to move a batch."""

from datetime import datetime

from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.authority.life import ImpossibleMove, Move
from hesper_cloud.db.batches import Batch
from hesper_cloud.worded import wording

_HELD = frozenset({"paused", "stopped", "quarantined"})
_MOVING = frozenset({"canary", "running"})
_END = frozenset({"aborted", "tampered"})
NEXT: dict[str, frozenset[str]] = {
    "awaiting_approval": _MOVING | _END | {"rejected", "expired"},
    "canary": frozenset({"running", "done"}) | _HELD | _END,
    "running": frozenset({"canary", "running", "done"}) | _HELD | _END,  # the next wave
    "paused": _MOVING | _END,
    "stopped": _MOVING | _END,
    "quarantined": _MOVING | _END | {"paused"},
    "done": _MOVING | {"tampered"},  # retry
    "rejected": frozenset(),
    "expired": frozenset(),
    "aborted": frozenset(),
    "tampered": frozenset(),
}
MOVING = _MOVING
HELD = _HELD
ENDED = _END

FAILED = frozenset({"failed", "rejected", "expired", "unknown"})
"""Rows that count against the share at which a batch stops by itself."""
FINISHED = FAILED | {"confirmed", "cancelled"}
RETRIED = frozenset({"failed", "rejected", "expired", "cancelled"})
UNSETTLED = frozenset({"released", "unknown"})
"""Rows that follow their command, wherever the batch stands."""
LEFT = FINISHED | UNSETTLED


def move(session: Session, batch: Batch, step: Move, at: datetime) -> None:
    """Audits and makes one transition.

    Raises:
        ImpossibleMove: the table does not allow it.
    """
    if step.to not in NEXT[batch.state]:
        raise ImpossibleMove(f"batch {batch.id}: {batch.state} → {step.to}")
    entry = audit.Entry(
        actor=step.actor,
        action=f"batch.{step.to}",
        subject=f"batch {batch.id}",
        before=batch.state,
        after=f"{step.to} {batch.digest}",
        why=str(step.why),
    )
    audit.append(session, at, entry)
    batch.state = step.to
    batch.updated_at = at
    batch.detail, batch.said = str(step.why) or None, wording(step.why)
