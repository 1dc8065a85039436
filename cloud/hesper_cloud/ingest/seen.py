"""Batch ids of kinds that live in the registry database, in the same transaction as their rows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hesper_contracts.batch import BatchId
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import BatchSeen, RegistryBase
from hesper_cloud.db.upserts import inserting


def stored_digests(session: Session, batches: Sequence[BatchId]) -> dict[BatchId, str]:
    """Returns the digests of those batches that are stored."""
    key = (BatchSeen.gateway, BatchSeen.epoch, BatchSeen.sequence)
    query = select(*key, BatchSeen.digest)
    return {
        BatchId(gateway, epoch, sequence): digest
        for some in batched(batches)
        for gateway, epoch, sequence, digest in session.execute(query.where(tuple_(*key).in_(some)))
    }


def remember(session: Session, batch: BatchId, digest: str, stored_at: datetime) -> None:
    """Adds a batch id to the transaction."""
    session.add(BatchSeen(**batch._asdict(), digest=digest, stored_at=stored_at))


def insert_new(session: Session, model: type[RegistryBase], values: dict[str, Any]) -> bool:
    """Inserts one row unless its key is there; says whether it was inserted."""
    key = model.__table__.primary_key
    inserted = session.execute(inserting(session, model).values(values).returning(*key))
    return inserted.first() is not None


def insert_all_new(
    session: Session, model: type[RegistryBase], rows: Sequence[dict[str, Any]]
) -> set[Any]:
    """Inserts rows of a table whose key is one column; returns the keys that were not there."""
    if not rows:
        return set()
    (key,) = model.__table__.primary_key
    inserted = session.connection().execute(inserting(session, model).returning(key), rows)
    return set(inserted.scalars())
