"""The audit log: a hash chain that shows every later edit, drop or swap.

Theory of operation. Row *n* carries the hash of row *n − 1*; its own hash is SHA-256 over a domain
prefix and the JSON array of its fields and that previous hash. Row 1 follows 64 zeros. Rows are
appended in the transaction that makes the change they speak of, before the change itself, so a
change without its row cannot exist. That the newest rows were cut off cannot be seen from the
chain alone; `checkpoints` are for that.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.authority import AuditRow

GENESIS = "0" * 64
_NEWEST = "newest audit row"
_DOMAIN = b"hesper audit v1\x00"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened: who did what to which thing, how it was and became, and why."""

    actor: str
    action: str
    subject: str
    before: str | None = None
    after: str | None = None
    why: str | None = None


def append(session: Session, at: datetime, entry: Entry) -> AuditRow:
    """Adds the next row of the chain; the caller holds the database's write lock.

    The newest row is read once in a transaction; nobody else can add one meanwhile.
    """
    last = _newest(session)
    row = AuditRow(
        sequence=last.sequence + 1 if last else 1,
        at=at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
        why=entry.why,
        previous_hash=last.hash if last else GENESIS,
        hash="",
    )
    row.hash = row_hash(row)
    session.add(row)
    session.info[_NEWEST] = (session.get_transaction(), row)
    return row


def _newest(session: Session) -> AuditRow | None:
    transaction, row = session.info.get(_NEWEST, (None, None))
    if transaction is not None and transaction is session.get_transaction():
        newest: AuditRow | None = row
        return newest
    query = select(AuditRow).order_by(AuditRow.sequence.desc()).limit(1)
    return session.scalars(query).first()


def row_hash(row: AuditRow) -> str:
    """Returns the hash that ``row`` must carry, hex."""
    fields = [
        row.sequence,
        row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        row.actor,
        row.action,
        row.subject,
        row.before,
        row.after,
        row.why,
        row.previous_hash,
    ]
    octets = json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(_DOMAIN + octets).hexdigest()
