"""Disconnect control (IEC 62056-6-2, class 70): read it, move it, prove that it moved.

Before anything is written the logical device name is read in the same association and compared:
a reused address must never cut the wrong home. Then the registers are read (the reading at the
cut), the method is invoked once, and the state is read back until it agrees or the time is over.
The method is never invoked a second time here, whatever happens to the answer.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hesper_contracts.results import READY_FOR_RECONNECTION
from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.errors import DecodeError, ServiceError

from hesper_gateway.errors import MeterDistrusted, MeterFailed, MeterRefused, RelayUncertain
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal
from hesper_gateway.sessions.clock import as_utc
from hesper_gateway.templates.model import TimesTemplate

_CLASS = 70
_OUTPUT_STATE, _CONTROL_STATE, _CONTROL_MODE = 2, 3, 4
_WAITS_FOR_BUTTON = frozenset({1, 3, 5, 6})


Permit = Callable[[], None]
"""Asked right before the write; raises `CommandExpired` when the command's time is over."""


class RelayAction(StrEnum):
    """What a relay can be asked to do."""

    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"
    ARM = "arm"
    """Reconnect where the control mode leaves the last step to a button at the meter."""

    @property
    def method_id(self) -> int:
        """1 remote_disconnect, 2 remote_reconnect."""
        return 1 if self is RelayAction.DISCONNECT else 2


@dataclass(frozen=True, slots=True)
class RelayState:
    """What the meter says of its relay.

    ``output`` is true while the supply is connected; ``control`` is 0 disconnected, 1 connected,
    2 ready for reconnection; ``at`` is the gateway's time of the reading.
    """

    output: bool
    control: int
    at: datetime

    def satisfies(self, action: RelayAction) -> bool:
        """Whether the relay stands where the action wants it.

        A meter that waits for its customer's push of a button (ready for reconnection) has done
        what a reconnect asks of it, though its output is still open. What a disconnect asks of it
        it has not: a remote_disconnect leads from there to disconnected (IEC 62056-6-2, class 70,
        transition c), where the button does nothing.
        """
        waits = self.control == READY_FOR_RECONNECTION
        if action is RelayAction.DISCONNECT:
            return not (self.output or waits)
        return self.output or waits


@dataclass(frozen=True, slots=True)
class RelayMove:
    """One attempt to move a relay: the states around it and the registers at the cut.

    ``registers`` maps dotted logical names to (value, scaler, unit); ``refusal`` is the meter's
    own no, empty when it took the method.
    """

    action: RelayAction
    before: RelayState
    after: RelayState
    registers: Mapping[str, tuple[int, int, int]]
    refusal: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether the state read back agrees with what was asked."""
        return self.after.satisfies(self.action)


async def read_relay(
    association: Association, logical_name: bytes, now: Callable[[], float]
) -> RelayState:
    """Read output_state and control_state.

    Raises:
        MeterFailed: the meter cannot be read, or has no relay there.
    """
    values = await association.get_each(
        [
            CosemAttribute(_CLASS, logical_name, _OUTPUT_STATE),
            CosemAttribute(_CLASS, logical_name, _CONTROL_STATE),
        ]
    )
    numbers = []
    for value in values:
        if isinstance(value, ServiceError):
            raise refusal(value, "the relay cannot be read") from value
        try:
            numbers.append(value.as_int())
        except DecodeError as error:
            raise MeterDistrusted(f"relay state: {error}") from error
    return RelayState(bool(numbers[0]), numbers[1], as_utc(now()))


async def require_armable(
    association: Association, logical_name: bytes, before: RelayState
) -> None:
    """Check that a remote_reconnect will wait for the button (IEC 62056-6-2, control modes).

    In the modes 1, 3, 5 and 6 it leads to ready-for-reconnection, in 2 and 4 it connects at once.

    Raises:
        MeterRefused: nothing was written: it is connected, or would be without anybody there.
        MeterFailed: the mode cannot be read.
    """
    if before.output:
        raise MeterRefused("the supply is connected already")
    where = CosemAttribute(_CLASS, logical_name, _CONTROL_MODE)
    [value] = await association.get_each([where])
    if isinstance(value, ServiceError):
        raise refusal(value, "the control mode cannot be read") from value
    try:
        mode = value.as_int()
    except DecodeError as error:
        raise MeterDistrusted(f"control mode: {error}") from error
    if mode not in _WAITS_FOR_BUTTON:
        raise MeterRefused(f"in control mode {mode} no button is waited for; use reconnect")


async def invoke(association: Association, logical_name: bytes, action: RelayAction) -> str:
    """Invoke the method once; return the meter's refusal, or nothing when it took it.

    Raises:
        RelayUncertain: no answer came, so nobody knows whether the relay moves.
    """
    try:
        await association.action(
            CosemMethod(_CLASS, logical_name, action.method_id), axdr.integer(0)
        )
    except ServiceError as refusal:
        return str(refusal)
    except MeterFailed as error:
        raise RelayUncertain(f"no answer to the {action}: {error}", error.hop) from error
    return ""


async def read_back(
    association: Association,
    logical_name: bytes,
    action: RelayAction,
    times: TimesTemplate,
    now: Callable[[], float],
) -> RelayState:
    """Read the relay until it stands where it should, or the template's time is over.

    Raises:
        RelayUncertain: the meter fell silent; nobody knows where the relay stands.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + times.relay_s
    try:
        while True:
            state = await read_relay(association, logical_name, now)
            if state.satisfies(action) or loop.time() >= deadline:
                return state
            await asyncio.sleep(times.relay_poll_s)
    except MeterFailed as error:
        raise RelayUncertain(
            f"the relay was asked to {action}, then: {error}", error.hop
        ) from error
    except ServiceError as error:
        hop = refusal(error).hop
        raise RelayUncertain(f"the relay was asked to {action}, then: {error}", hop) from error
