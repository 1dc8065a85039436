"""What a kind of long work is: how one portion of it is made ready, and what it then does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.orm import Session


class JobFailed(Exception):
    """The job cannot be done, now or later; the text is fit for a person to read."""


@dataclass(frozen=True, slots=True)
class Work:
    """One job as its next portion finds it."""

    id: int
    kind: str
    asked_by: str
    parameters: Mapping[str, Any]
    cursor: Mapping[str, Any]  # empty: nothing is done yet
    result: Mapping[str, Any]
    portions: int  # that had their effect


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come with a portion; without a cursor it is done."""

    done: int
    total: int | None
    cursor: dict[str, Any] | None
    result: dict[str, Any] = field(default_factory=dict)


Effect = Callable[[Session], Progress]


class Kind(Protocol):
    """One kind of long work.

    Jobs of the same ``lane`` run one after the other.
    """

    @property
    def name(self) -> str: ...

    @property
    def lane(self) -> str: ...

    def prepare(self, work: Work) -> Effect:
        """Makes the next portion ready without a lock; returns its effect.

        The effect runs once at most, in the transaction that also keeps the cursor. What is
        prepared may be prepared again after a crash, so outside of the database it only replaces
        what the same portion left there.

        Raises:
            JobFailed: the job cannot be done. The effect may raise it, too.
        """
        ...
