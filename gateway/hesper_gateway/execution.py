"""Carrying out one accepted command: move once, read back, say honestly how it ended.

When the outcome of a move is not known, the relay is only read from then on: it stands where it
should (confirmed), it still does not when it has had the time to move (failed), or it cannot be
read in time (unknown). What only reads may be done again after a restart, and so may firmware's
kinds, which go on from what the meter says. What is for the gateway itself may ask for a restart;
how that ended is told after it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Protocol

from hesper_contracts import parameters
from hesper_contracts.commands import Command, is_for_gateway
from hesper_contracts.results import CommandResult, Findings, RelayReading
from msgspec import UNSET

from hesper_gateway.database import StorageFull
from hesper_gateway.errors import CommandExpired, GatewayError, MeterFailed, RelayUncertain
from hesper_gateway.journal import State
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState

log = logging.getLogger(__name__)

_WRITING = frozenset(
    {
        "clock.sync",
        "keys.change",
        "limiter.write",
        "tariff.calendar",
        "tariff.special_days",
        "tunnel.open",
    }
)
_STATES: dict[bool | None, State] = {True: "confirmed", False: "failed", None: "unknown"}
READ_AGAIN_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_ACTIONS = {
    "relay.disconnect": RelayAction.DISCONNECT,
    "relay.reconnect": RelayAction.RECONNECT,
    "relay.arm": RelayAction.ARM,
}


class Lane(Enum):
    """Commands for one meter go one after another within a lane; what takes long has its own."""

    RELAY = auto()
    ERRAND = auto()
    FIRMWARE = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an outcome that is not known is inquired.

    Attributes:
        read_back_s: Until the relay answers, before it is reported as unknown.
        moves_within_s: Until a relay stands where it should, before it is reported as failed: a
            meter may carry out what it got although its answer was lost.
    """

    read_back_s: float = 300.0
    moves_within_s: float = 10.0


class Relays(Protocol):
    """The relays of this gateway's meters, by meter id."""

    async def read(self, meter: str) -> RelayState:
        """Returns where a relay stands. Raises MeterFailed."""

    async def move(
        self, meter: str, action: RelayAction, expected_ldn: str, permit: Permit
    ) -> RelayMove:
        """Moves a relay once, if ``permit`` still allows it right before the write.

        Raises RelayUncertain once the write may have been sent, MeterFailed before.
        """


@dataclass(frozen=True, slots=True)
class Report:
    """How a command other than a relay's went, and what it brought.

    ``done`` is None when nobody knows whether what was written has taken effect. ``before`` and
    ``after`` are where the relay stood, for a kind that could have moved it.
    """

    done: bool | None
    detail: str = ""
    registers: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    findings: Findings | None = None
    before: RelayState | None = None
    after: RelayState | None = None


class Meters(Relays, Protocol):
    """Everything that commands can be for, by meter id."""

    def objection(self, command: Command) -> str | None:
        """Returns why a command can never be carried out at its meter; None when it can."""

    async def run(self, command: Command, permit: Permit) -> Report:
        """Carries out a command other than a relay's.

        Raises CommandExpired by ``permit``, MeterFailed when nothing was done.
        """

    async def check(self, command: Command) -> Report:
        """Reads whether such a command that writes has taken effect; writes nothing.

        Raises MeterFailed.
        """


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a command came."""

    state: State
    detail: str = ""
    before: RelayState | None = None
    after: RelayState | None = None
    registers: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    findings: Findings | None = None

    def result(self, command: Command, at: datetime) -> CommandResult:
        """Returns it as the gateway signs and sends it."""
        return CommandResult(
            command_id=command.id,
            gateway=command.gateway,
            meter=command.meter,
            state=self.state,
            at=at,
            detail=self.detail,
            relay_before=_reading(self.before),
            relay_after=_reading(self.after),
            registers=dict(self.registers),
            findings=self.findings or UNSET,
        )


def _reading(state: RelayState | None) -> RelayReading | None:
    return None if state is None else RelayReading(state.output, state.control, state.at)


async def act(
    command: Command, expected_ldn: str, meters: Meters, permit: Permit, patience: Patience
) -> Outcome:
    """Does what the command says, once; ends in every state but *executing*."""
    if is_for_relay(command):
        return await _move(command, expected_ldn, meters, permit, patience)
    return await _run(command, meters, permit)


async def resume(command: Command, meters: Meters, permit: Permit, patience: Patience) -> Outcome:
    """Ends a command that a restart has found *executing*; moves no relay."""
    if is_for_relay(command):
        return await read_back(command, meters, patience)
    if is_run_again(command):
        return await _run(command, meters, permit)
    return await _outcome(command, meters.check(command))


def is_run_again(command: Command) -> bool:
    """Returns whether a restart carries a command out anew: it only reads, or is about an image."""
    if parameters.is_about_image(command.kind):
        return True
    is_final = is_for_relay(command) or is_for_gateway(command.kind)
    return not is_final and command.kind not in _WRITING


def only_reads(command: Command) -> bool:
    """Returns whether nothing is changed by carrying a command out, or by doing so again."""
    return command.kind == "relay.read" or is_run_again(command)


def is_for_relay(command: Command) -> bool:
    """Returns whether a command is about a relay: moved at most once, then only read."""
    return command.kind.startswith("relay.")


def lane_of(command: Command) -> Lane:
    """Returns the lane of a command."""
    if parameters.is_about_image(command.kind):
        return Lane.FIRMWARE
    return Lane.RELAY if is_for_relay(command) else Lane.ERRAND


async def _run(command: Command, meters: Meters, permit: Permit) -> Outcome:
    return await _outcome(command, meters.run(command, permit))


async def _outcome(command: Command, errand: Awaitable[Report]) -> Outcome:
    try:
        report = await errand
    except CommandExpired as late:
        return Outcome("expired", str(late))
    except MeterFailed as error:
        return Outcome("failed", str(error))
    except StorageFull as full:  # no counter could be reserved, before or after the write
        return Outcome("unknown" if command.kind in _WRITING else "failed", str(full))
    state = _STATES[report.done]
    return Outcome(
        state, report.detail, report.before, report.after, report.registers, report.findings
    )


async def _move(
    command: Command, expected_ldn: str, relays: Relays, permit: Permit, patience: Patience
) -> Outcome:
    """Moves or reads a relay. Errors that leave open whether it moved end in `read_back`."""
    action = _ACTIONS.get(command.kind)
    try:
        if action is None:
            return Outcome("confirmed", after=await relays.read(command.meter))
        move = await relays.move(command.meter, action, expected_ldn, permit)
    except CommandExpired:
        return Outcome("expired", "its time was over before anything could be written")
    except GatewayError as error:
        if isinstance(error, MeterFailed) and not isinstance(error, RelayUncertain):
            return Outcome("failed", f"nothing was written, stopped at {error.hop}: {error}")
        log.warning("command %s: %s", command.id, error)
        return await read_back(command, relays, patience)
    detail = move.refusal or ("" if move.confirmed else "the relay did not move")
    state: State = "confirmed" if move.confirmed else "failed"
    return Outcome(state, detail, move.before, move.after, move.registers)


async def read_back(command: Command, relays: Relays, patience: Patience) -> Outcome:
    """Reads the relay until it stands where it should or the time is over; never moves it."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    action = _ACTIONS.get(command.kind)
    attempt = 0
    while True:
        try:
            after = await relays.read(command.meter)
        except GatewayError as error:
            left_s = started + patience.read_back_s - loop.time()
            if left_s <= 0:
                return Outcome("unknown", f"the relay cannot be read back: {error}")
        else:
            moved = action is None or after.satisfies(action)
            left_s = started + patience.moves_within_s - loop.time()
            if moved:
                return Outcome("confirmed", "read back", after=after)
            if left_s <= 0:
                return Outcome("failed", "read back: the relay did not move", after=after)
        await asyncio.sleep(min(READ_AGAIN_S[min(attempt, len(READ_AGAIN_S) - 1)], left_s))
        attempt += 1
