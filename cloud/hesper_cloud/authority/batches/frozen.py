"""What a batch is frozen to: one SHA-256 over its terms and its rows in order.

A hash of 40 000 rows takes as long as signing a hundred commands. So `Approvals` remembers what it
has found to be as approved: terms and the rows at hand are compared with that every time, and the
whole list is hashed again when ten seconds have passed. It is read in portions, between which the
kill switch comes in.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.authority.batches.states import MOVING
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.worded import later

_DOMAIN = b"hesper batch v1\x00"
OTHER_ROWS = later("its terms or rows are not those that were frozen")
Frozen = tuple[int, str, str | None, str | None, str | None]
_HASHED_AGAIN_AFTER = timedelta(seconds=10)
_PORTION = 5_000  # of rows: hundredths of a second


def digest(batch: Batch, rows: Iterable[Frozen]) -> str:
    """Returns the SHA-256, hex, over a batch's terms and its rows as they are given."""
    hashed = hashlib.sha256(_DOMAIN + _terms(batch))
    for row in rows:
        hashed.update(_line(list(row)))
    return hashed.hexdigest()


def rows_digest(session: Session, batch: Batch, give_way: GiveWay) -> str:
    """Returns the digest of a batch as it is stored now, read from the database anew."""
    return digest(batch, _stored(session, batch, give_way))


def edited(session: Session, batch: Batch, give_way: GiveWay) -> str | None:
    """Says what is not as it was approved, by the rows and the audit log; None if all is."""
    return _edited(session, batch, _stored(session, batch, give_way))


class _Approved(NamedTuple):
    """One batch as it was found to be what was approved, and when."""

    seal: tuple[str, bytes, str | None]
    rows: dict[int, Frozen]
    at: datetime

    def still_holds(self, batch: Batch, rows: Iterable[BatchRow], now: datetime) -> bool:
        """Says whether the batch and these rows are the same, and were looked at just now."""
        lately = timedelta(0) <= now - self.at < _HASHED_AGAIN_AFTER
        return (
            lately
            and self.seal == _seal(batch)
            and all(self.rows.get(row.position) == _frozen(row) for row in rows)
        )


class Approvals:
    """The batches under way that are known to be what was approved."""

    def __init__(self, give_way: GiveWay) -> None:
        self._give_way = give_way
        self._known: dict[str, _Approved] = {}

    def edited(
        self, session: Session, batch: Batch, rows: Iterable[BatchRow], now: datetime
    ) -> str | None:
        """Says what is not as it was approved, of the batch and of those of its rows."""
        known = self._known.get(batch.id)
        if known is not None and known.still_holds(batch, rows, now):
            return None
        stored: dict[int, Frozen] = {}
        found = _edited(session, batch, _kept(_stored(session, batch, self._give_way), stored))
        if found is None:
            self._known[batch.id] = _Approved(_seal(batch), stored, now)
        return found

    def keep(self, batches: Iterable[str]) -> None:
        """Forgets all batches but these."""
        self._known = {name: self._known[name] for name in batches if name in self._known}


def _stored(session: Session, batch: Batch, give_way: GiveWay) -> Iterator[Frozen]:
    query = select(
        BatchRow.position, BatchRow.meter, BatchRow.gateway, BatchRow.area, BatchRow.excluded
    ).where(BatchRow.batch == batch.id)
    query = query.order_by(BatchRow.position).execution_options(yield_per=_PORTION)
    with session.execute(query) as rows:
        for portion in rows.partitions():
            give_way()
            yield from ((place, meter, gw, area, out) for place, meter, gw, area, out in portion)


def _kept(rows: Iterable[Frozen], by_position: dict[int, Frozen]) -> Iterator[Frozen]:
    """Yields the rows, and keeps them."""
    for row in rows:
        by_position[row[0]] = row
        yield row


def _frozen(row: BatchRow) -> Frozen:
    return (row.position, row.meter, row.gateway, row.area, row.excluded)


def _seal(batch: Batch) -> tuple[str, bytes, str | None]:
    return (batch.digest, _terms(batch), batch.approver)


def _edited(session: Session, batch: Batch, rows: Iterable[Frozen]) -> str | None:
    return OTHER_ROWS if digest(batch, rows) != batch.digest else _unapproved(session, batch)


def _unapproved(session: Session, batch: Batch) -> str | None:
    """Says what the audit log tells otherwise about who approved which hash."""
    approval = select(AuditRow.actor, AuditRow.after).where(
        AuditRow.subject == f"batch {batch.id}",
        AuditRow.before == "awaiting_approval",
        AuditRow.action.in_([f"batch.{state}" for state in MOVING]),
    )
    approved = session.execute(approval).first()
    if approved is None or not str(approved.after).endswith(f" {batch.digest}"):
        return later("the audit log knows no approval of its hash")
    if approved.actor != batch.approver:
        return later("the audit log knows another approver")
    return None


def _terms(batch: Batch) -> bytes:
    waves = () if batch.waves is None else (batch.waves, batch.soak_s)
    return _line(
        [
            *(batch.id, batch.kind, batch.parameters, batch.reason, batch.requester),
            *(batch.canary, batch.wave_size, batch.per_hour, batch.stop_percent),
            *waves,
        ]
    )


def _line(values: list[Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text.encode("ascii") + b"\n"
