"""The last look at a batch, when one of its commands is about to be signed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.authority.batches import frozen
from hesper_cloud.authority.batches.releasing import stop_tampered
from hesper_cloud.authority.batches.states import MOVING
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.worded import worded


class BatchSeals:
    """Checks the commands of batches within one transaction."""

    def __init__(
        self,
        session: Session,
        several: Sequence[CommandRecord],
        approvals: frozen.Approvals,
        now: datetime,
    ) -> None:
        """Takes the transaction, the commands to be signed in it, and what is known of batches."""
        self._session = session
        self._approvals = approvals
        self._now = now
        self._batches: dict[str, Batch] = {}
        ids = [command.id for command in several if command.batch is not None]
        rows = session.scalars(select(BatchRow).where(BatchRow.command.in_(ids))) if ids else ()
        self._rows = {row.command: row for row in rows}

    def check(self, command: CommandRecord) -> None:
        """Checks that a command is what its batch was approved for; single ones always are.

        Raises:
            Denied: it is not; the batch, found edited, is stopped for good.
        """
        if command.batch is None:
            return
        batch = self._batches.get(command.batch) or self._looked_at(command.batch)
        if batch is None or batch.state not in MOVING:
            raise Denied(worded("its batch is {state}", state=batch.state if batch else "gone"))
        if not self._is_of(command, batch):
            why = worded("command {command} is not that of any of its rows", command=command.id)
            stop_tampered(self._session, batch, why, self._now)
            raise Denied("it is not what its batch was approved for")

    def _looked_at(self, batch_id: str) -> Batch | None:
        batch = self._session.get(Batch, batch_id)
        if batch is None:
            return None
        self._batches[batch_id] = batch
        if batch.state in MOVING:
            rows = [row for row in self._rows.values() if row.batch == batch_id]
            edited = self._approvals.edited(self._session, batch, rows, self._now)
            if edited is not None:
                stop_tampered(self._session, batch, edited, self._now)
        return batch

    def _is_of(self, command: CommandRecord, batch: Batch) -> bool:
        row = self._rows.get(command.id)
        if row is None or row.excluded is not None:
            return False
        told = (command.kind, command.parameters, command.requester, command.approver)
        approved = (batch.kind, batch.parameters, batch.requester, batch.approver)
        return told == approved and (row.batch, row.meter, row.gateway) == (
            batch.id,
            command.meter,
            command.gateway,
        )
