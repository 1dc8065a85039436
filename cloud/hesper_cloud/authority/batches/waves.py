"""Waves: parts of a batch of which each is judged before the next begins.

A batch that names shares of its rows (1 and 10 percent, say) leaves in as many waves, and a last
one with the rest. Once it is known who takes part, the shares become the numbers of rows up to the
end of each wave, which are frozen with the list. The first wave is the canary. A wave is over when
all its rows have finished; the stop by itself judges it alone, whatever went before. Then a person
lets the next begin, who proves to be an approver like anybody that lets a held batch go on; or it
begins by itself when the soak time is over, in which what was brought can still turn out to be bad.
A batch that names no shares has a canary and all others, which begin by themselves. Behind a wave,
or a canary, of which nothing was confirmed none begins by itself, whatever share may fail.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from hesper_cloud.authority.batches.states import FINISHED, move
from hesper_cloud.authority.batches.tally import Tally, forgive
from hesper_cloud.authority.life import Move
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.worded import later, worded

_SELF = "authority"
_OVER = later("wave {number} of {count} is over; a person lets the next begin")
_BAD = later(
    "wave {number} of {count} is over and nothing in it was confirmed; a person lets the next begin"
)
_NEXT = later("wave {number} of {count} is over, the next begins")
_PASSED = later("of {count} rows that went first, no more failed than it bears")
_UNPROVED = later("none of {count} rows that went first was confirmed; a person lets the others go")
_DECIDED = later("{count} rows that went first are over, the others begin")


def ends(shares: Sequence[int], total: int) -> list[int]:
    """Returns the number of rows up to the end of each wave, the last of which is all of them.

    Args:
        shares: Percent of the rows in each wave but the last; every wave has one row at least.
        total: How many rows take part.
    """
    found: list[int] = []
    share = 0
    for each in shares:
        share += each
        before = found[-1] if found else 0
        found.append(min(total, max(before + 1, -(-total * share // 100))))
    return [*(end for end in found if end < total), total]


def open_rows(session: Session, batch: Batch) -> ColumnElement[bool]:
    """Returns which rows may leave by now: those up to the end of the wave that is open."""
    mine = BatchRow.batch == batch.id
    count = _open_count(batch)
    if count is None:
        return mine
    taking_part = select(BatchRow.position).where(mine, BatchRow.excluded.is_(None))
    last = session.scalar(taking_part.order_by(BatchRow.position).offset(count - 1).limit(1))
    return mine if last is None else mine & (BatchRow.position <= last)


def is_over(session: Session, batch: Batch) -> bool:
    """Says whether a wave that another follows is open, and all its rows have finished."""
    if _open_count(batch) is None:
        return False
    unfinished = BatchRow.excluded.is_(None) & BatchRow.state.not_in(FINISHED)
    return not session.scalar(select(exists().where(open_rows(session, batch), unfinished)))


def go_on(session: Session, batch: Batch, counted: Tally, now: datetime) -> bool:
    """Goes on behind a wave that is over and was not too bad; says whether the next is open."""
    if batch.waves is None:
        is_good = _has_confirmed(session, batch)
        to, words = ("running", _PASSED) if is_good else ("paused", _UNPROVED)
        move(session, batch, Move(to, _SELF, worded(words, count=batch.canary)), now)
        return is_good
    if batch.soaks_until is None:
        is_good = _has_confirmed(session, batch)
        if batch.soak_s is None or not is_good:
            why = _numbered(_OVER if is_good else _BAD, batch)
            move(session, batch, Move("paused", _SELF, why), now)
            return False
        batch.soaks_until = now + timedelta(seconds=batch.soak_s)
    if now < batch.soaks_until:
        return False
    begin_next(session, batch, counted, _SELF, now)
    return True


def begin_next(session: Session, batch: Batch, counted: Tally, actor: str, now: datetime) -> None:
    """Opens the next wave; what has finished so far does not count in its judgement."""
    if batch.waves is None:
        why: str = worded(_DECIDED, count=batch.canary)
    else:
        why = _numbered(_NEXT, batch)
        batch.wave, batch.soaks_until = batch.wave + 1, None
    forgive(batch, counted)
    move(session, batch, Move("running", actor, why), now)


def has_ended_since(session: Session, batch: Batch, at: datetime) -> bool:
    """Says whether a row of the open wave, or of those before, has changed after an instant."""
    since = BatchRow.updated_at > at
    return bool(session.scalar(select(exists().where(open_rows(session, batch), since))))


def _has_confirmed(session: Session, batch: Batch) -> bool:
    """Says whether a row of the open wave, or of the canary, was confirmed."""
    end = _open_count(batch) or 0
    begin = batch.waves[batch.wave - 1] if batch.waves and batch.wave else 0
    rows = select(BatchRow.state).where(BatchRow.batch == batch.id, BatchRow.excluded.is_(None))
    wave = rows.order_by(BatchRow.position).offset(begin).limit(end - begin)
    return "confirmed" in session.scalars(wave).all()


def _open_count(batch: Batch) -> int | None:
    """Returns how many rows, from the first on, may have left; None: all of them."""
    if batch.waves is not None:
        is_last = batch.wave >= len(batch.waves) - 1
        return None if is_last else batch.waves[batch.wave]
    return batch.canary if batch.state == "canary" else None


def _numbered(words: str, batch: Batch) -> str:
    return worded(words, number=batch.wave + 1, count=len(batch.waves or ()))
