"""Takes back what a batch has queued and nobody has signed."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hesper_cloud.authority import life
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.worded import worded


def recall(session: Session, batch: Batch, rows_become: str, now: datetime) -> None:
    """Cancels the queued commands of a batch; their rows, and the waiting, become as told."""
    queued = select(CommandRecord).where(
        CommandRecord.state == "queued", CommandRecord.batch == batch.id
    )
    why = worded("batch {batch} is {state}", batch=batch.id, state=batch.state)
    recalled = []
    for command in session.scalars(queued):
        life.move(session, command, life.Move("cancelled", "authority", why), now)
        recalled.append(command.id)
    mine = update(BatchRow).where(BatchRow.batch == batch.id)
    change = {"state": rows_become, "detail": None, "updated_at": now}
    for command_id in recalled:
        session.execute(mine.where(BatchRow.command == command_id).values(**change))
    if rows_become != "waiting":
        session.execute(mine.where(BatchRow.state == "waiting").values(**change))
