"""Which part carries out which kind of command for the gateway itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from hesper_contracts import parameters
from hesper_contracts.commands import Command, is_for_gateway
from hesper_contracts.frame import Refused

from hesper_gateway.execution import Meters, Report
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState


class OwnErrand(Protocol):
    """One kind of command for the gateway itself.

    What needs another start raises `RestartWanted` in `run`; the command is *executing* in the
    journal then, and the process that comes next tells by `check` how it ended.
    """

    def objection(self, command: Command) -> str | None:
        """Return why it can never be carried out here; None when it can."""

    async def run(self, command: Command, permit: Permit) -> Report:
        """Carry it out. Raises CommandExpired by ``permit``, RestartWanted."""

    async def check(self, command: Command) -> Report:
        """Tell how it ended after the restart that it asked for, or after any other."""


class OwnErrands:
    """The errands of the gateway itself, by kind."""

    def __init__(self, errands: Mapping[str, OwnErrand]) -> None:
        self._errands = errands

    def objection(self, command: Command) -> str | None:
        """Return why this command can never be carried out; None when it can."""
        errand = self._errands.get(command.kind)
        if errand is None:
            return f"this gateway knows no {command.kind}"
        try:
            parameters.of(command)
        except Refused as refused:
            return str(refused)
        return errand.objection(command)

    async def run(self, command: Command, permit: Permit) -> Report:
        """Carry out the command, after `objection` had none."""
        return await self._errands[command.kind].run(command, permit)

    async def check(self, command: Command) -> Report:
        """Tell how the command ended; one that this release does not know, failed."""
        errand = self._errands.get(command.kind)
        if errand is None:
            return Report(False, f"this gateway knows no {command.kind}")
        return await errand.check(command)


@dataclass(frozen=True, slots=True)
class Everything:
    """Implements `execution.Meters`: the meters of this gateway, and the gateway itself."""

    meters: Meters
    own: OwnErrands

    async def read(self, meter: str) -> RelayState:
        """Return where a relay stands. Raises MeterFailed."""
        return await self.meters.read(meter)

    async def move(
        self, meter: str, action: RelayAction, expected_ldn: str, permit: Permit
    ) -> RelayMove:
        """Move a relay once. Raises as `execution.Relays.move`."""
        return await self.meters.move(meter, action, expected_ldn, permit)

    def objection(self, command: Command) -> str | None:
        """Return why a command can never be carried out; None when it can."""
        return self._of(command).objection(command)

    async def run(self, command: Command, permit: Permit) -> Report:
        """Carry out a command other than a relay's."""
        return await self._of(command).run(command, permit)

    async def check(self, command: Command) -> Report:
        """Tell whether such a command that writes has taken effect."""
        return await self._of(command).check(command)

    def _of(self, command: Command) -> Meters | OwnErrands:
        return self.own if is_for_gateway(command.kind) else self.meters
