"""Takes back what a batch has queued and nobody has signed."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hesper_cloud.authority import life
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.db.engines import batched
from hesper_cloud.worded import worded


def recall(session: Session, batch: Batch, rows_become: str, now: datetime) -> None:
    """Cancels the queued commands of a batch; their rows, and the waiting, become as told."""
    queued = select(CommandRecord).where(
        CommandRecord.state == "queued", CommandRecord.batch == batch.id
    )
    why = worded("batch {batch} is {state}", batch=batch.id, state=batch.state)
    recalled = session.scalars(queued).all()
    for command in recalled:
        life.move(session, command, life.Move("cancelled", "authority", why), now)
    mine = update(BatchRow).where(BatchRow.batch == batch.id)
    change = {"state": rows_become, "detail": None, "updated_at": now}
    for some in batched([command.id for command in recalled]):
        session.execute(mine.where(BatchRow.command.in_(some)).values(**change))
    if rows_become != "waiting":
        session.execute(mine.where(BatchRow.state == "waiting").values(**change))
