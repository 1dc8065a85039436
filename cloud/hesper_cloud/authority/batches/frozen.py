"""What a batch is frozen to: one SHA-256 over its terms and its rows in order."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.authority.batches.states import MOVING
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.batches import Batch, BatchRow

_DOMAIN = b"hesper batch v1\x00"
OTHER_ROWS = "its terms or rows are not those that were frozen"
Frozen = tuple[int, str, str | None, str | None, str | None]


def digest(batch: Batch, rows: Iterable[Frozen]) -> str:
    """Returns the SHA-256, hex, over a batch's terms and its rows as they are given."""
    terms: list[Any] = [
        *(batch.id, batch.kind, batch.parameters, batch.reason, batch.requester),
        *(batch.canary, batch.wave_size, batch.per_hour, batch.stop_percent),
    ]
    hashed = hashlib.sha256(_DOMAIN + _line(terms))
    for row in rows:
        hashed.update(_line(list(row)))
    return hashed.hexdigest()


def rows_digest(session: Session, batch: Batch) -> str:
    """Returns the digest of a batch as it is stored now, read from the database anew."""
    query = select(
        BatchRow.position, BatchRow.meter, BatchRow.gateway, BatchRow.area, BatchRow.excluded
    ).where(BatchRow.batch == batch.id)
    return digest(batch, session.execute(query.order_by(BatchRow.position)))


def edited(session: Session, batch: Batch) -> str | None:
    """Says what is not as it was approved, by the rows and the audit log; None if all is."""
    if rows_digest(session, batch) != batch.digest:
        return OTHER_ROWS
    approval = select(AuditRow.actor, AuditRow.after).where(
        AuditRow.subject == f"batch {batch.id}",
        AuditRow.before == "awaiting_approval",
        AuditRow.action.in_([f"batch.{state}" for state in MOVING]),
    )
    approved = session.execute(approval).first()
    if approved is None or not str(approved.after).endswith(f" {batch.digest}"):
        return "the audit log knows no approval of its hash"
    if approved.actor != batch.approver:
        return "the audit log knows another approver"
    return None


def _line(values: list[Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii") + b"\n"
