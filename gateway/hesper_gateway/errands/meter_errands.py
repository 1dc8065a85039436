"""The errands of this gateway's meters, by meter id: which part carries out which kind."""

from collections.abc import Mapping

from hesper_contracts import parameters
from hesper_contracts.commands import Command
from hesper_contracts.firmware import ActivateFirmware, TransferFirmware
from hesper_contracts.frame import Refused
from hesper_contracts.limits import WriteLimiter
from hesper_contracts.parameters import (
    ChangeKeys,
    ReadConversation,
    ReadEventLog,
    ReadProfile,
    ReadRegisters,
    SyncClock,
)
from hesper_contracts.tunnel import OpenTunnel

from hesper_gateway.errands import reading, tariff
from hesper_gateway.errands.clock import ClockSetter
from hesper_gateway.errands.conversation import conversation
from hesper_gateway.errands.key_change import KeyChanger
from hesper_gateway.errands.reading import Stores
from hesper_gateway.execution import Report
from hesper_gateway.firmware import Firmware
from hesper_gateway.meter_relays import MeterRelays
from hesper_gateway.sessions import MeterSession, Permit
from hesper_gateway.tunnel import TunnelErrand


class MeterErrands(MeterRelays):
    """Implements `execution.Meters` on the meters' sessions.

    Args:
        sessions: By meter id.
        stores: Where what was read goes.
        clocks: Sets clocks.
        firmware: Brings and activates images.
        tunnel: Opens tunnels.
        keys: Changes keys.
    """

    def __init__(
        self,
        sessions: Mapping[str, MeterSession],
        stores: Stores,
        clocks: ClockSetter,
        firmware: Firmware,
        tunnel: TunnelErrand,
        keys: KeyChanger,
    ) -> None:
        super().__init__(sessions)
        self._stores = stores
        self._clocks = clocks
        self._firmware = firmware
        self._tunnel = tunnel
        self._keys = keys

    def objection(self, command: Command) -> str | None:
        """Return why this command can never be carried out at its meter; None when it can."""
        session = self._session(command.meter)
        objects = session.template.objects
        if command.kind.startswith("relay.") and objects.disconnect_control is None:
            return f"{command.meter} has no relay"
        try:
            wanted = parameters.of(command)
        except Refused as refused:
            return str(refused)
        if isinstance(wanted, ReadEventLog) and wanted.log not in objects.logs():
            return f"{command.meter} has no {wanted.log} log"
        needs_two = isinstance(wanted, WriteLimiter | OpenTunnel)
        if needs_two and command.approver in (None, command.requester):
            return f"{command.kind} can cut a supply: a second person must approve it"
        if isinstance(wanted, TransferFirmware | ActivateFirmware):
            return self._firmware.objection(session, command, wanted)
        if isinstance(wanted, ChangeKeys):
            return self._keys.objection(session, command, wanted)
        return None

    async def run(self, command: Command, permit: Permit) -> Report:
        """Carry out a command other than a relay's.

        Raises:
            CommandExpired: by ``permit``; nothing was done.
            MeterFailed: nothing was done, told by hop.
        """
        session = self._session(command.meter)
        wanted = parameters.of(command)
        writing = tariff.writing(session, wanted)
        if writing is not None:
            return await writing.run(session, command.logical_device_name, permit)
        match wanted:
            case ReadRegisters():
                return await reading.registers(session, wanted, permit)
            case ReadProfile():
                return await reading.profile(session, wanted, permit, self._stores)
            case ReadEventLog():
                return await reading.event_log(session, wanted, permit, self._stores)
            case ReadConversation():
                return await conversation(session, wanted, permit)
            case SyncClock():
                name, max_step_s = command.logical_device_name, wanted.max_step_s
                return await self._clocks.set(session, name, max_step_s, permit)
            case TransferFirmware() | ActivateFirmware():
                return await self._firmware.run(session, command, wanted, permit)
            case ChangeKeys():
                return await self._keys.run(session, command, wanted, permit)
            case OpenTunnel():
                beside = self._beside(session)
                return await self._tunnel.run(session, beside, command, wanted, permit)
            case _:
                return await reading.ping(session, permit)

    async def check(self, command: Command) -> Report:
        """Read after a restart whether what was to be written is there; it is not written again.

        Raises:
            MeterFailed: nobody knows, told by hop.
        """
        session, why = self._session(command.meter), "the gateway was restarted"
        wanted = parameters.of(command)
        if isinstance(wanted, OpenTunnel):
            return await self._tunnel.look_after_restart(session, self._beside(session), command)
        if isinstance(wanted, ChangeKeys):
            return await self._keys.check(session, command, why)
        writing = tariff.writing(session, wanted)
        if writing is not None:
            return await writing.check(session, why)
        return await self._clocks.look(session, why)

    def _beside(self, session: MeterSession) -> list[MeterSession]:
        """Return the other meters on a meter's line."""
        known = self._sessions.values()
        return [each for each in known if each.line is session.line and each is not session]
