"""What follows a commit: judges and followers hear of the rows, on the teller's thread.

By then the writer has fed the latest values and may be about the next group. So each joined block
brings along what was the newest of its meters before it, and judges compare with that. The rows are
stored and receipted: whoever fails at them keeps nobody else from hearing of them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import metrics
from hesper_cloud.ingest.quantity_counts import count_values
from hesper_cloud.stores.port import CommittedRows, Group, Written

log = logging.getLogger(__name__)


class Committed(Protocol):
    """What is told about rows after their commit."""

    def rows_committed(self, rows: CommittedRows) -> None:
        """Takes one block with the mask of its new rows, which may be none."""
        ...


@dataclass(frozen=True, slots=True)
class Commit:
    """One committed group; `gateways` names the sender of each of its blocks.

    What was kept apart stands behind those, and nobody hears of it. Judges hear of `rows`: its
    blocks joined, each with the values before.
    """

    gateways: list[str]
    group: Group
    written: Written
    rows: list[CommittedRows]


class Aftermath:
    """What judges and followers are told once receipts are on their way."""

    def __init__(self, judges: Sequence[Committed], followers: Sequence[Committed]) -> None:
        self._judges = judges
        self._followers = followers
        self._commits: list[Commit] = []

    def add(self, commit: Commit) -> None:
        """Adds one committed group."""
        self._commits.append(commit)

    def tell(self) -> None:
        """Tells of every block that has rows: a repeated one is contact too."""
        for commit in self._commits:
            for rows in commit.rows:
                count_values(rows.block, rows.accepted)
                for judge in self._judges:
                    _tell(judge, rows)
            self._tell_followers(commit)
            own = len(commit.gateways)
            for block, new in zip(
                commit.group.blocks[own:], commit.written.accepted[own:], strict=True
            ):
                count_values(block, new)

    def _tell_followers(self, commit: Commit) -> None:
        for gateway, block, accepted in zip(
            commit.gateways, commit.group.blocks, commit.written.accepted, strict=False
        ):
            if len(accepted):
                rows = CommittedRows(
                    gateway,
                    block,
                    accepted,
                    commit.group.stored_at,
                    has_conflicts=commit.written.conflicting > 0,
                )
                for follower in self._followers:
                    _tell(follower, rows)


def _tell(listener: Committed, rows: CommittedRows) -> None:
    name = type(listener).__name__
    try:
        listener.rows_committed(rows)
    except SQLAlchemyError as error:
        log.warning("%s could not write what it found: %s", name, error)
    except Exception:
        log.exception("%s could not be told of what is stored", name)
        metrics.ERRORS.labels("ingest", "unforeseen").inc()
