"""Asking for long work, calling it off, and letting it go on."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from hesper_cloud.db.long_jobs import CANCELLED, FAILED, UNENDED, WAITING, LongJob
from hesper_cloud.worded import wording


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for."""

    kind: str
    title: str
    asked_by: str
    parameters: dict[str, Any] = field(default_factory=dict)
    total: int | None = None  # of whatever ``done`` counts


def ask(session: Session, wish: Wish, at: datetime) -> int:
    """Writes a job down and returns its number; it begins by itself."""
    row = LongJob(
        kind=wish.kind,
        title=str(wish.title),
        said=wording(wish.title),
        asked_by=wish.asked_by,
        asked_at=at,
        parameters=wish.parameters,
        total=wish.total,
    )
    session.add(row)
    session.flush()
    return row.id


def cancel(session: Session, job_id: int, who: str, at: datetime) -> bool:
    """Ends a job between two portions; what those before did stays. Says no if it had ended."""
    row = session.get_one(LongJob, job_id)
    if row.state not in UNENDED:
        return False
    row.state, row.ended_at, row.ended_by = CANCELLED, at, who
    return True


def resume(session: Session, job_id: int) -> bool:
    """Lets a job that failed or was cancelled go on where it stopped. Says no to any other."""
    row = session.get_one(LongJob, job_id)
    if row.state not in (FAILED, CANCELLED):
        return False
    row.state, row.ended_at, row.ended_by, row.problem = WAITING, None, None, None
    return True
