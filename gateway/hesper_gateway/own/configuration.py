"""``gateway.configure``: another gateway.toml, checked as at a start, tried, and only then kept.

Whoever can sign commands must not be able to widen what this gateway allows: its name, its keys,
its state and its ceilings are changed at the gateway alone. Ceilings may come down.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hesper_contracts import parameters
from hesper_contracts.commands import Command
from hesper_contracts.parameters import ConfigureGateway
from hesper_contracts.results import Findings

from hesper_gateway.config import CeilingsConfig, GatewayConfig, load
from hesper_gateway.configuration_check import check_files
from hesper_gateway.errors import ConfigError
from hesper_gateway.execution import Report
from hesper_gateway.own.restart import RestartWanted
from hesper_gateway.own.trial import ConfigurationFile, Trial, digest_of
from hesper_gateway.sessions.relay import Permit


class Configurator:
    """Replaces gateway.toml.

    Args:
        current: What this program runs with.
        trial: Of the file it was started with; None where it was started without one.
        hindrance: Returns why no file can be taken now; None for nothing.
    """

    def __init__(
        self,
        current: GatewayConfig,
        trial: Trial | None,
        hindrance: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._current = current
        self._trial = trial
        self._hindrance = hindrance

    def objection(self, command: Command) -> str | None:
        """Return why this file can never be taken; None when it can."""
        if command.approver in (None, command.requester):
            return f"a second person must approve {command.kind}"
        if self._trial is None:
            return "this gateway was not started from a file"
        try:
            self._check(_wanted(command), self._trial.file)
        except ConfigError as error:
            return str(error)
        return None

    async def run(self, command: Command, permit: Permit) -> Report:
        """Put the file in place, on trial.

        Raises:
            RestartWanted: it is in place.
        """
        if self._trial is None:
            return Report(False, "this gateway was not started from a file")
        permit()
        if hindrance := self._hindrance():
            return Report(False, hindrance)
        try:
            self._trial.file.try_out(_wanted(command), command.id)
        except OSError as error:
            return Report(False, f"gateway.toml cannot be replaced here: {error.strerror}")
        raise RestartWanted(f"command {command.id} brought a configuration")

    async def check(self, command: Command) -> Report:
        """Tell which file stayed, once that is settled.

        Before the file was on trial the power may have been cut too: then there is no note of the
        command, and only the file itself tells that it is another one.
        """
        if self._trial is None:
            return Report(None, "this gateway was not started from a file")
        await self._trial.settled.wait()
        file = self._trial.file
        findings = Findings(configuration=file.digest())
        why = file.given_up(command.id)
        if why is not None:
            return Report(False, f"the old configuration is back: {why}", findings=findings)
        if findings.configuration != digest_of(_wanted(command)):
            why = "another file is in place; this one was never tried, or replaced since"
            return Report(False, f"{why}: give the command again", findings=findings)
        return Report(True, "in force, the head end has answered with it", findings=findings)

    def _check(self, text: str, file: ConfigurationFile) -> None:
        """Check the text as a start would, and that it changes nothing that is not its to change.

        Raises:
            ConfigError: what does not fit.
        """
        with TemporaryDirectory(prefix="hesper-configure-") as folder:
            draft = Path(folder) / file.path.name
            draft.write_text(text, encoding="utf-8")
            try:
                wanted = load(draft, file.path.parent)
            except ConfigError as error:
                raise ConfigError(str(error).replace(f"{draft}: ", "")) from None
        self._check_own(wanted)
        check_files(wanted)

    def _check_own(self, wanted: GatewayConfig) -> None:
        for name in ("gateway", "keys", "state"):
            if getattr(wanted, name) != getattr(self._current, name):
                raise ConfigError(f"{name}: is changed at the gateway alone")
        if not _within(wanted.ceilings, self._current.ceilings):
            raise ConfigError("ceilings: are raised at the gateway alone")


def _wanted(command: Command) -> str:
    wanted = parameters.of(command)
    if not isinstance(wanted, ConfigureGateway):
        raise TypeError(f"{command.kind} brings no configuration")
    return wanted.toml


def _within(wanted: CeilingsConfig, current: CeilingsConfig) -> bool:
    """Say whether ceilings allow nothing that the present ones do not."""
    return (
        wanted.disconnects_per_hour <= current.disconnects_per_hour
        and wanted.disconnects_per_day <= current.disconnects_per_day
        and wanted.seconds_between >= current.seconds_between
    )
