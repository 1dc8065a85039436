"""Whether the audit log is whole: its rows, its checkpoints, and what gateways have witnessed.

Theory of operation. The chain shows an edit, a drop or a swap by itself, unless whoever did it
reckoned every later hash anew. Then the signed checkpoints in the same database do not fit any
more. Whoever removes those as well, cuts the newest rows off or puts back an old database is
contradicted by what gateways hold, which lies out of reach of everybody at the head end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hesper_contracts import witness
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Keyring
from hesper_contracts.witness import Checkpoint
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.audit.chain import GENESIS, row_hash
from hesper_cloud.db.authority import AuditCheckpoint, AuditRow

_MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the chain found; ``head`` names the newest row that fits.

    ``against`` says everything that speaks against the log, ``checkpoints`` how many fit it.
    """

    intact: bool
    rows: int
    broken_at: int | None
    head: str
    text: str
    against: tuple[str, ...] = ()
    checkpoints: int = 0


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint as somebody holds it: signed octets, and in whose hands they were."""

    holder: str
    payload: bytes


@dataclass(slots=True)
class _Walk:
    """The chain up to the first row that does not fit, with the hashes that were asked for."""

    count: int = 0
    head: str = GENESIS
    broken: str = ""
    broken_at: int | None = None
    hashes: dict[int, str] = field(default_factory=dict)


def verify(session: Session) -> Verdict:
    """Walks the whole chain and stops at the first row that does not fit."""
    return _verdict(_walk(session, frozenset()), [], 0)


def examine(session: Session, keys: Keyring, witnessed: Sequence[Witnessed]) -> Verdict:
    """Compares chain, checkpoints of the database, and what was witnessed elsewhere.

    Args:
        session: On one snapshot of the authority's database.
        keys: Those that the authority signs with, or has signed with.
        witnessed: What gateways and files hold.
    """
    own = [
        Witnessed("the database", row.payload)
        for row in session.scalars(select(AuditCheckpoint).order_by(AuditCheckpoint.sequence))
    ]
    against: list[str] = []
    told: dict[tuple[int, str], list[str]] = {}
    for each in (*own, *witnessed):
        try:
            said = witness.from_payload(each.payload, keys)
        except Refused as refusal:
            against.append(f"a checkpoint of {each.holder} is none: {refusal}")
        else:
            told.setdefault((said.sequence, said.head), []).append(each.holder)
    walk = _walk(session, frozenset(sequence for sequence, _ in told))
    against += _tampered_table(session, keys)
    against += _contradictions(walk, told)
    fitting = sum(walk.hashes.get(sequence) == head for sequence, head in told)
    return _verdict(walk, against, fitting)


def _contradictions(walk: _Walk, told: Mapping[tuple[int, str], Iterable[str]]) -> list[str]:
    found = []
    for (sequence, head), holders in sorted(told.items()):
        who = " and ".join(sorted(set(holders)))
        if sequence > walk.count:
            if not walk.broken:
                found.append(f"{who}: there were {sequence} rows; {walk.count} are left")
        elif walk.hashes[sequence] != head:
            found.append(f"{who}: row {sequence} was another; the chain was written anew")
        elif "the database" not in holders:
            found.append(f"{who}: the checkpoint at row {sequence} is gone from the database")
    return found


def _tampered_table(session: Session, keys: Keyring) -> list[str]:
    """Compares what a row of the table says with what is signed in it."""
    found = []
    for row in session.scalars(select(AuditCheckpoint)):
        try:
            said: Checkpoint = witness.from_payload(row.payload, keys)
        except Refused:
            continue  # told already
        if (row.sequence, row.head) != (said.sequence, said.head):
            found.append(f"the row of checkpoint {row.sequence} says something else than it signs")
    return found


def _verdict(walk: _Walk, against: list[str], checkpoints: int) -> Verdict:
    every = ([walk.broken] if walk.broken else []) + against
    fits = f"{walk.count} rows, each fits the next"
    text = "; ".join(every[:_MOST_TOLD]) if every else fits
    head = f"{walk.count}:{walk.head}"
    return Verdict(not every, walk.count, walk.broken_at, head, text, tuple(every), checkpoints)


def _walk(session: Session, wanted: frozenset[int]) -> _Walk:
    walk = _Walk()
    for row in session.scalars(
        select(AuditRow).order_by(AuditRow.sequence).execution_options(yield_per=1000)
    ):
        reason = _misfit(row, walk.count + 1, walk.head)
        if reason:
            walk.broken, walk.broken_at = f"row {row.sequence}: {reason}", row.sequence
            return walk
        walk.head, walk.count = row.hash, walk.count + 1
        if walk.count in wanted:
            walk.hashes[walk.count] = row.hash
    return walk


def _misfit(row: AuditRow, sequence: int, previous: str) -> str | None:
    if row.sequence != sequence:
        return f"row {sequence} is missing"
    if row.previous_hash != previous:
        return "it does not follow the row before it"
    if row.hash != row_hash(row):
        return "its content was changed"
    return None
