"""Takes back what a batch has queued and nobody has signed.

Of a batch that has ended for good the rows that wait are withdrawn some thousands at a time, the
first with its end and the others turn by turn: requests and commands go between. None of them can
leave meanwhile, for only batches under way let rows go.
"""

from datetime import datetime

from sqlalchemy import Select, exists, select, update
from sqlalchemy.orm import Session

from hesper_cloud.authority import life
from hesper_cloud.authority.batches.states import ENDED
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.db.engines import batched
from hesper_cloud.worded import worded

_PORTION = 5_000  # of rows: a tenth of a second at most


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
        withdraw_some(session, batch.id, now)


def to_withdraw() -> Select[str]:
    """Selects the batches that have ended for good with rows that still wait."""
    waits = exists().where(BatchRow.batch == Batch.id, BatchRow.state == "waiting")
    return select(Batch.id).where(Batch.state.in_(ENDED), waits)


def withdraw_some(session: Session, batch: str, now: datetime) -> None:
    """Withdraws the first thousands of the rows of a batch that wait."""
    waiting = (BatchRow.batch == batch) & (BatchRow.state == "waiting")
    first = select(BatchRow.position).where(waiting).order_by(BatchRow.position).limit(_PORTION)
    change = {"state": "withdrawn", "detail": None, "updated_at": now}
    some = update(BatchRow).where(BatchRow.batch == batch, BatchRow.position.in_(first))
    session.execute(some.values(**change), execution_options={"synchronize_session": False})
