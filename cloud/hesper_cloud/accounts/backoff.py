"""Failed logins slow down the next try: of the account, and of the address they come from.

The first failures are free; then the wait doubles up to five minutes. Counts are kept in the
database, so that a restart forgives nobody, and fade after a quiet quarter of an hour.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import LoginFailure

FREE_TRIES = 4
_LONGEST = timedelta(minutes=5)
_FADES_AFTER = timedelta(minutes=15)


def wait_s(session: Session, subjects: Sequence[str], now: datetime) -> float:
    """Returns how many seconds the next try must still wait, 0 if none."""
    waits = [0.0]
    for subject in subjects:
        row = session.get(LoginFailure, subject)
        if row is not None and row.failures >= FREE_TRIES and now - row.last_at < _FADES_AFTER:
            pause = min(timedelta(seconds=2 ** (row.failures - FREE_TRIES)), _LONGEST)
            waits.append((row.last_at + pause - now).total_seconds())
    return max(waits)


def count_failure(session: Session, subjects: Sequence[str], now: datetime) -> None:
    """Counts one failed try against each subject."""
    for subject in subjects:
        row = session.get(LoginFailure, subject)
        if row is None:
            session.add(LoginFailure(subject=subject, failures=1, last_at=now))
            continue
        row.failures = 1 if now - row.last_at >= _FADES_AFTER else min(row.failures + 1, 30)
        row.last_at = now


def forget(session: Session, subject: str) -> None:
    """Forgets the failures of one subject after a login that succeeded."""
    session.execute(delete(LoginFailure).where(LoginFailure.subject == subject))
