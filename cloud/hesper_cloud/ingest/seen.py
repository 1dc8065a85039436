"""Batch ids of kinds that live in the registry database, in the same transaction as their rows."""

from datetime import datetime
from typing import Any

from hesper_contracts.batch import BatchId
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import BatchSeen, RegistryBase
from hesper_cloud.db.upserts import inserting


def stored_digest(session: Session, batch: BatchId) -> str | None:
    """Returns the digest under which a batch is stored, or None."""
    row = session.get(BatchSeen, tuple(batch))
    return None if row is None else row.digest


def remember(session: Session, batch: BatchId, digest: str, stored_at: datetime) -> None:
    """Adds a batch id to the transaction."""
    session.add(BatchSeen(**batch._asdict(), digest=digest, stored_at=stored_at))


def insert_new(session: Session, model: type[RegistryBase], values: dict[str, Any]) -> bool:
    """Inserts one row unless its key is there; says whether it was inserted."""
    key = model.__table__.primary_key
    inserted = session.execute(inserting(session, model).values(values).returning(*key))
    return inserted.first() is not None
