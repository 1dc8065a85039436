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
from typing import NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from hesper_cloud.db.authority import AuditRow

GENESIS = "0" * 64
_NEWEST = "newest audit row"
_DOMAIN = b"hesper audit v1\x00"
_JSON = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_INSERT = insert(AuditRow.metadata.tables[AuditRow.__tablename__])


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened: who did what to which thing, how it was and became, and why."""

    actor: str
    action: str
    subject: str
    before: str | None = None
    after: str | None = None
    why: str | None = None


class Link(NamedTuple):
    """One row of the chain, field by field."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    why: str | None
    previous_hash: str
    hash: str = ""


def append(session: Session, at: datetime, entry: Entry) -> Link:
    """Adds the next row of the chain; the caller holds the database's write lock.

    The newest row is read once in a transaction; nobody else can add one meanwhile. The row is in
    the database on return, before whatever the session has been told of the change itself.
    """
    sequence, head = _newest(session)
    link = Link(
        sequence=sequence + 1,
        at=at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
        why=entry.why,
        previous_hash=head,
    )
    link = link._replace(hash=row_hash(link))
    session.connection().execute(_INSERT, link._asdict())
    session.info[_NEWEST] = (session.get_transaction(), link.sequence, link.hash)
    return link


def _newest(session: Session) -> tuple[int, str]:
    """Returns sequence and hash of the newest row."""
    transaction, *newest = session.info.get(_NEWEST, (None,))
    if transaction is not None and transaction is session.get_transaction():
        sequence, head = newest
        return sequence, head
    query = select(AuditRow.sequence, AuditRow.hash).order_by(AuditRow.sequence.desc()).limit(1)
    found = session.execute(query).first()
    return (found.sequence, found.hash) if found else (0, GENESIS)


def row_hash(row: AuditRow | Link) -> str:
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
    return hashlib.sha256(_DOMAIN + _JSON.encode(fields).encode("ascii")).hexdigest()
