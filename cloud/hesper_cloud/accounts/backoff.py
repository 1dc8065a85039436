"""Failed logins slow down the next try.

They are counted against the account at one address, against the address, and against the account
wherever they come from. The last is left out where the person already has a session: a stranger
who guesses on purpose slows down strangers, and cannot lock an approver out. The first failures
are free; then the wait doubles up to five minutes. Counts are kept in the database, so that a
restart forgives nobody, and fade after a quiet quarter of an hour. One that lies further ahead than
that was made by a clock that has been set back since, and counts no more: nobody waits for years.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete
from sqlalchemy.orm import Session

from hesper_cloud.accounts.callers import caller
from hesper_cloud.db.registry import LoginFailure

_FREE_OF_PERSON = 4
_FREE_OF_MANY = 20  # a whole office may share an address
_LONGEST = timedelta(minutes=5)
_FADES_AFTER = timedelta(minutes=15)
_MOST_COUNTED = 40


class Subject(NamedTuple):
    """What failures are counted against, and how many of them are free."""

    name: str
    free: int


def subjects_of(account: str, address: str, *, at_home: bool) -> list[Subject]:
    """Returns what a try counts against; ``at_home`` where the account has a session already."""
    address = caller(address)
    subjects = [
        Subject(_at_one_address(address, account), _FREE_OF_PERSON),
        Subject(f"address {address}", _FREE_OF_MANY),
    ]
    return subjects if at_home else [*subjects, Subject(f"account {account}", _FREE_OF_MANY)]


def _at_one_address(address: str, account: str) -> str:
    """Returns a name that no other subject has, whatever somebody types for an account."""
    return f"from {address} account {account}"


def enrolment_subjects(address: str) -> list[Subject]:
    """Returns what a device that shows a token counts against; tokens cannot be guessed."""
    return [Subject(f"enrolment from {caller(address)}", _FREE_OF_PERSON)]


def wait_s(session: Session, subjects: Iterable[Subject], now: datetime) -> float:
    """Returns how many seconds the next try must still wait, 0 if none."""
    waits = [0.0]
    for name, free in subjects:
        row = session.get(LoginFailure, name)
        if row is not None and row.failures >= free and abs(now - row.last_at) < _FADES_AFTER:
            pause = min(timedelta(seconds=2 ** (row.failures - free)), _LONGEST)
            waits.append((row.last_at + pause - now).total_seconds())
    return max(waits)


def count_failure(session: Session, subjects: Iterable[Subject], now: datetime) -> None:
    """Counts one try against each subject, before its password is looked at."""
    lately = LoginFailure.last_at.between(now - _FADES_AFTER, now + _FADES_AFTER)
    session.execute(delete(LoginFailure).where(~lately))
    for name, _ in subjects:
        row = session.get(LoginFailure, name)
        if row is None:
            session.add(LoginFailure(subject=name, failures=1, last_at=now))
            continue
        row.failures, row.last_at = min(row.failures + 1, _MOST_COUNTED), now


def forget_account(session: Session, account: str) -> None:
    """Forgets all that is counted against an account, from wherever; addresses keep theirs."""
    from_somewhere = LoginFailure.subject.endswith(f" account {account}", autoescape=True)
    anywhere = LoginFailure.subject == f"account {account}"
    session.execute(delete(LoginFailure).where(from_somewhere | anywhere))


def is_locked(session: Session, account: str, now: datetime) -> bool:
    """Says whether strangers must wait before they try this account."""
    return wait_s(session, [Subject(f"account {account}", _FREE_OF_MANY)], now) > 0


def forgive(session: Session, subjects: Iterable[Subject]) -> None:
    """Takes a try that succeeded back; what was counted against the person is forgotten."""
    for name, free in subjects:
        row = session.get(LoginFailure, name)
        if row is not None:
            row.failures = 0 if free == _FREE_OF_PERSON else max(0, row.failures - 1)
