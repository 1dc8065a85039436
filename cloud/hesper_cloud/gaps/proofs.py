"""What shows that a gap is closed: the rows that are stored now, counted, dated and hashed."""

import hashlib
import json
from typing import Any

from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Backfill, Request
from hesper_cloud.gaps.rows import GapRow
from hesper_cloud.stores.port import ReadingStore

MOST_ROWS = 3000


class Proofs:
    """Makes proofs; rows that were asked for are read and hashed, others counted."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store

    def of(self, session: Session, gap: GapRow, count: int) -> dict[str, Any]:
        """Returns the proof of one gap whose captures are all stored, so many."""
        proof: dict[str, Any] = {"captures": count}
        if gap.backfill_id is not None:
            backfill = session.get_one(Backfill, gap.backfill_id)
            proof |= {"backfill": backfill.id, "command": _command(session, backfill)}
            proof |= self._stored(gap)
        return proof

    def _stored(self, gap: GapRow) -> dict[str, Any]:
        rows = self._store.readings(gap.meter, gap.profile, gap.first, gap.last + 1, MOST_ROWS)
        told = [
            [row.captured_at, row.clock_status, [value.value for value in row.values]]
            for row in rows
        ]
        return {
            "stored_from_ms": min((row.stored_at_ms for row in rows), default=None),
            "stored_to_ms": max((row.stored_at_ms for row in rows), default=None),
            "sha256": hashlib.sha256(json.dumps(told).encode()).hexdigest(),
        }


def _command(session: Session, backfill: Backfill) -> str | None:
    """Returns the command; rows may be stored before the authority's answer was taken over."""
    if backfill.command_id is not None:
        return backfill.command_id
    request = session.get(Request, backfill.request_id)
    command = (request.outcome or {}).get("command") if request else None
    return None if command is None else str(command)
