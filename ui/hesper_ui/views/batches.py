"""Batches in words: how they stand, what is left out and why, and what may be decided now."""

from dataclasses import dataclass

from hesper_ui.services import Actor, BatchRowView, BatchVerb, BatchView, Permission
from hesper_ui.views.looks import Look
from hesper_ui.words import later, say

STATES = {
    "awaiting_approval": Look("warning", later("awaiting approval")),
    "canary": Look("working", later("canary under way")),
    "running": Look("working", later("running")),
    "paused": Look("stopped", later("paused")),
    "stopped": Look("critical", later("stopped by itself: too many failed")),
    "quarantined": Look("warning", later("held: as many left as one decision covers")),
    "done": Look("done", later("done")),
    "rejected": Look("stopped", later("rejected")),
    "expired": Look("stopped", later("expired before it was approved")),
    "aborted": Look("stopped", later("aborted")),
    "tampered": Look("critical", later("tampered: not what was approved")),
}
ROWS = {
    "waiting": Look("unknown", later("waiting")),
    "released": Look("working", later("under way")),
    "confirmed": Look("done", later("confirmed by read-back")),
    "failed": Look("critical", later("failed")),
    "rejected": Look("stopped", later("refused")),
    "expired": Look("warning", later("expired")),
    "cancelled": Look("stopped", later("withdrawn")),
    "unknown": Look("unknown", later("unknown: no answer, do not assume")),
    "excluded": Look("stopped", later("excluded")),
    "withdrawn": Look("stopped", later("withdrawn by the abort")),
}
KINDS = (
    "relay.read",
    "relay.disconnect",
    "relay.reconnect",
    "ping",
    "read.registers",
    "clock.sync",
)
"""What the console proposes for many meters; other kinds and their parameters go by REST."""
READ_REGISTERS = ["1.0.1.8.0.255", "1.0.2.8.0.255"]
PARAMETERS: dict[str, dict[str, object]] = {"read.registers": {"logical_names": READ_REGISTERS}}
_MOVING = frozenset({"canary", "running"})
_OPEN = _MOVING | {"awaiting_approval", "paused", "stopped", "quarantined"}
_RETRIED = ("failed", "rejected", "expired", "cancelled")
_ASKS_APPROVER: frozenset[BatchVerb] = frozenset(
    {"approve", "reject", "resume", "retry", "release"}
)
SHOWN = (  # in the order of the bar
    ("confirmed", ("confirmed",)),
    ("released", ("released",)),
    ("failed", ("failed", "rejected", "expired")),
    ("unknown", ("unknown",)),
    ("waiting", ("waiting",)),
    ("withdrawn", ("withdrawn", "cancelled")),
)


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the bar: its state, how many rows, and of a hundred."""

    state: str
    count: int
    percent: float


def state(batch: BatchView) -> Look:
    """Returns how a batch stands."""
    return STATES.get(batch.state, Look("unknown", batch.state))


def wave(batch: BatchView) -> str:
    """Says which wave of a batch is open; nothing of one that has none, or has not begun."""
    if not batch.waves or batch.approved_at is None or not is_open(batch):
        return ""
    return say("wave {number} of {count}", number=batch.wave + 1, count=len(batch.waves))


def row_state(row: BatchRowView) -> Look:
    """Returns how one row stands."""
    return ROWS.get(row.state, Look("unknown", row.state))


def taking_part(batch: BatchView) -> int:
    """Returns how many rows leave once it is approved: the number that an approver types."""
    return sum(count for of, count in batch.counts.items() if of != "excluded")


def excluded(batch: BatchView) -> int:
    """Returns how many rows never leave."""
    return batch.counts.get("excluded", 0)


def shares(batch: BatchView) -> list[Share]:
    """Returns the parts of the bar of progress."""
    total = taking_part(batch) or 1
    parts = [(name, sum(batch.counts.get(each, 0) for each in of)) for name, of in SHOWN]
    return [Share(name, count, 100 * count / total) for name, count in parts if count]


def is_open(batch: BatchView) -> bool:
    """Says whether anything may still leave."""
    return batch.state in _OPEN


def verbs(batch: BatchView, actor: Actor) -> list[BatchVerb]:
    """Returns what this person may decide now; the authority checks it again."""
    found: list[BatchVerb] = []
    if batch.state == "awaiting_approval":
        found += ["approve", "reject"] if batch.requester != actor.username else []
    if batch.state in _MOVING:
        found.append("pause")
    if batch.state in {"paused", "stopped"}:
        found.append("resume")
    if batch.state == "quarantined":
        found.append("release")
    failed = any(batch.counts.get(each) for each in _RETRIED)
    if failed and batch.state in {"paused", "stopped", "done"}:
        found.append("retry")
    if is_open(batch):
        found.append("abort")
    may = {verb: _needed(verb) for verb in found}
    return [verb for verb in found if actor.may(may[verb])]


def _needed(verb: BatchVerb) -> Permission:
    return Permission.APPROVE_COMMAND if verb in _ASKS_APPROVER else Permission.REQUEST_COMMAND
