"""``gateway.restart``: the program begins anew in the same process, which proves that it did.

The command is journalled as *executing* before the restart. What the next start finds in that
state it answers with the moment of its own start, so the result comes from the program that the
command asked for, not from the one that took it.
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from hesper_contracts.commands import Command
from hesper_contracts.results import Findings

from hesper_gateway.execution import Report
from hesper_gateway.launched import AGAIN, SLOT_VARIABLE
from hesper_gateway.sessions.relay import Permit
from hesper_gateway.timeproof import since_boot


class RestartWanted(Exception):
    """The program is to leave in order and begin anew; the text says why."""


def start_again() -> NoReturn:
    """Begin this program anew with the same words: by the launcher, or in the same process."""
    if SLOT_VARIABLE in os.environ:
        sys.exit(AGAIN)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell wanted


class Restarter:
    """Restarts the gateway.

    Args:
        proven: The proven time (aware, UTC), None before the first proof.
        begun_s: When the program began, in seconds since boot.
    """

    def __init__(self, proven: Callable[[], datetime | None], begun_s: float) -> None:
        self._proven = proven
        self._begun_s = begun_s

    def objection(self, command: Command) -> str | None:
        """Return None: every gateway can be restarted."""

    async def run(self, command: Command, permit: Permit) -> Report:
        """Raise RestartWanted, if the time is not over."""
        permit()
        raise RestartWanted(f"command {command.id}")

    async def check(self, command: Command) -> Report:
        """Tell when this program began."""
        detail = f"started again, as {command.requester} asked"
        return Report(True, detail, findings=Findings(started_at=self.started_at()))

    def started_at(self) -> datetime:
        """Return when this program began, by proven time as soon as there is one."""
        age = timedelta(seconds=since_boot() - self._begun_s)
        return (self._proven() or datetime.now(UTC)) - age
