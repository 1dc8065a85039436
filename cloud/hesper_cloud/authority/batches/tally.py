"""How a batch stands: its rows counted, and brought up to where their commands are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from hesper_cloud.authority.batches.states import FAILED, FINISHED, LEFT, UNSETTLED
from hesper_cloud.authority.giving_way import GiveWay
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.batches import Batch, BatchRow

_PORTION = 5_000  # of rows: hundredths of a second


@dataclass(frozen=True, slots=True)
class Tally:
    """The rows of one batch by state."""

    by_state: Mapping[str, int]

    @property
    def waiting(self) -> int:
        """How many have not left."""
        return self.by_state.get("waiting", 0)

    @property
    def under_way(self) -> int:
        """How many have left and are not settled."""
        return self.by_state.get("released", 0)

    @property
    def left(self) -> int:
        """How many have left at all."""
        return self._of(LEFT)

    @property
    def finished(self) -> int:
        """How many have left and ended, well or not."""
        return self._of(FINISHED)

    @property
    def failed(self) -> int:
        """How many ended in a way that counts against the batch."""
        return self._of(FAILED)

    def _of(self, states: frozenset[str]) -> int:
        return sum(count for state, count in self.by_state.items() if state in states)


def tally(session: Session, batch_id: str) -> Tally:
    """Counts the rows of a batch."""
    query = select(BatchRow.state, func.count()).where(BatchRow.batch == batch_id)
    return Tally(dict(session.execute(query.group_by(BatchRow.state)).all()))


def follow_commands(session: Session, now: datetime, give_way: GiveWay) -> None:
    """Brings rows that have left to where their commands have ended since.

    Raises:
        GivesWay: the kill switch waits.
    """
    span = select(BatchRow.batch, func.min(BatchRow.position), func.max(BatchRow.position))
    unsettled = span.where(BatchRow.state.in_(UNSETTLED)).group_by(BatchRow.batch)
    for batch, first, last in session.execute(unsettled).all():
        for begin in range(first, last + 1, _PORTION):
            give_way()
            _follow(session, batch, (begin, begin + _PORTION - 1), now)


def _follow(session: Session, batch: str, positions: tuple[int, int], now: datetime) -> None:
    session.execute(
        update(BatchRow)
        .where(
            BatchRow.batch == batch,
            BatchRow.position.between(*positions),
            BatchRow.state.in_(UNSETTLED),
            BatchRow.command == CommandRecord.id,
            CommandRecord.state.in_(FINISHED),
            CommandRecord.state != BatchRow.state,
        )
        .values(
            state=CommandRecord.state,
            detail=CommandRecord.detail,
            said=CommandRecord.said,
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )


def forgive(batch: Batch, counted: Tally) -> None:
    """Lets what has finished so far no longer count towards the share at which it stops."""
    batch.forgiven_finished, batch.forgiven_failed = counted.finished, counted.failed


def failed_share(batch: Batch, counted: Tally) -> tuple[int, int]:
    """Returns how many rows failed, of how many that finished, since it was last let go on."""
    failed = max(0, counted.failed - batch.forgiven_failed)
    return failed, max(failed, counted.finished - batch.forgiven_finished)
