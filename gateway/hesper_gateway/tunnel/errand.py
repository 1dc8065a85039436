"""Carrying out ``tunnel.open``: the line is taken, relays are read, the tunnel is open, and again.

Theory of operation
-------------------
::

    turn of the line → name and relay read → wait for the tool → line open → bridge
                     → line closed → relay read → compare → result

Through a tunnel a tool can do what the meters of the line allow it, the others no less than the
one that was named. So it counts as a disconnect of each (see `journal`), and where their relays
stand is read by us before and after; where they stood is kept, so that what a restart cuts short is
compared, too. A relay that moved, or cannot be read any more, is an alarm.
All of it is one turn of the line: nobody else asks meters there meanwhile, and what is due is done
afterwards.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from hesper_contracts.commands import Command
from hesper_contracts.results import Findings, TunnelFinding
from hesper_contracts.tunnel import OpenTunnel, session_of

from hesper_gateway.errors import MeterFailed
from hesper_gateway.execution import Report
from hesper_gateway.lines.line import Priority
from hesper_gateway.sessions import MeterSession, Permit, RelayState
from hesper_gateway.tunnel.bridge import Bridge, Passage
from hesper_gateway.tunnel.mail import Mail, Tunnels
from hesper_gateway.tunnel.records import TunnelRecords

log = logging.getLogger(__name__)

READ_AGAIN_S = (1.0, 5.0, 15.0)
"""Pauses before the relay is asked again: a meter may still hold the tool's association."""

Alarm = Callable[[str, str, str], None]
"""Takes an event code, a text and a meter."""


class TunnelErrand:
    """Opens tunnels.

    Args:
        tunnels: Messages to and from the tools.
        records: Where it is kept how relays stood before.
        alarm: Told when a relay moved, or cannot be read afterwards.
        read_again_s: Pauses between attempts to read the relay afterwards.
    """

    def __init__(
        self,
        tunnels: Tunnels,
        records: TunnelRecords,
        alarm: Alarm,
        read_again_s: Sequence[float] = READ_AGAIN_S,
    ) -> None:
        self._tunnels = tunnels
        self._records = records
        self._alarm = alarm
        self._read_again_s = read_again_s

    async def run(
        self,
        session: MeterSession,
        neighbours: Sequence[MeterSession],
        command: Command,
        wanted: OpenTunnel,
        permit: Permit,
    ) -> Report:
        """Open the tunnel and return what went through it.

        Raises:
            CommandExpired: by ``permit``; nothing was opened.
            MeterFailed: the meter or its relay cannot be read; nothing was opened.
        """

        async def turn() -> Report:
            permit()
            before = await look(session)
            beside = [(each, await _look_if_possible(each)) for each in neighbours]
            stood = {each.meter.id: relay for each, relay in [(session, before), *beside]}
            await self._records.keep(command.id, stood)
            permit()
            passage = await self._pass(session, command.id, wanted)
            told = Findings(
                tunnel=TunnelFinding(
                    octets_up=passage.octets_up,
                    octets_down=passage.octets_down,
                    ended_by=passage.ended_by,
                )
            )
            await self._compare_others(beside)
            return await self._report(
                session, before, Report(True, passage.ended_by, findings=told)
            )

        return await session.line.submit(turn, Priority.COMMAND)

    async def look_after_restart(
        self, session: MeterSession, neighbours: Sequence[MeterSession], command: Command
    ) -> Report:
        """Return how a tunnel ended that the gateway did not live to see the end of.

        Raises:
            MeterFailed: none was open yet, and the relay cannot be read.
        """
        stood = self._records.of(command.id)
        beside = [(each, stood[each.meter.id]) for each in neighbours if each.meter.id in stood]

        async def turn() -> Report:
            ended = Report(False, "the gateway was restarted, which ended the tunnel")
            if not stood:
                return replace(ended, after=await look(session))
            await self._compare_others(beside)
            return await self._report(session, stood.get(session.meter.id), ended)

        return await session.line.submit(turn, Priority.COMMAND)

    async def _pass(self, session: MeterSession, command_id: str, wanted: OpenTunnel) -> Passage:
        until = asyncio.get_running_loop().time() + wanted.duration_s
        with self._tunnels.opened(session_of(command_id)) as mail:
            passage = await self._wait_and_bridge(session, mail, wanted, until)
            await mail.close(passage.ended_by)
        log.info(
            "tunnel %s to %s: %d octets up, %d down, ended: %s",
            command_id,
            session.meter.id,
            *passage,
        )
        return passage

    @staticmethod
    async def _wait_and_bridge(
        session: MeterSession, mail: Mail, wanted: OpenTunnel, until: float
    ) -> Passage:
        try:
            async with asyncio.timeout(min(wanted.idle_s, wanted.duration_s)):
                await mail.greeted.wait()
        except TimeoutError:
            return Passage(0, 0, "no tool came")
        if mail.over.done():
            return Passage(0, 0, mail.over.result())
        try:
            channel = await session.line.open(session.meter, session.template.times.connect_s)
        except MeterFailed as error:
            return Passage(0, 0, str(error))
        try:
            if not await mail.greet():
                return Passage(0, 0, "the broker was lost")
            return await Bridge(channel, mail, wanted, until).run()
        finally:
            await channel.release(broken=True)

    async def _report(
        self, session: MeterSession, before: RelayState | None, ended: Report
    ) -> Report:
        """Return how a tunnel ended, with where the relay stood and stands."""
        try:
            after = await self._look_again(session)
        except MeterFailed as error:
            text = f"the relay cannot be read after the tunnel: {error}"
            self._alarm("tunnel.relay_unknown", text, session.meter.id)
            return replace(ended, done=None, detail=text, before=before)
        moved = self._compare(session, before, after)
        detail = f"{ended.detail}; the relay moved" if moved else ended.detail
        return replace(ended, detail=detail, before=before, after=after)

    async def _look_again(self, session: MeterSession) -> RelayState | None:
        for pause_s in self._read_again_s:
            try:
                return await look(session)
            except MeterFailed as error:
                log.info("%s after a tunnel: %s", session.meter.id, error)
            await asyncio.sleep(pause_s)
        return await look(session)

    async def _compare_others(
        self, beside: Sequence[tuple[MeterSession, RelayState | None]]
    ) -> None:
        for session, before in beside:
            after = await _look_if_possible(session)
            if before is not None and after is None:
                text = "the relay cannot be read after a tunnel to its line"
                self._alarm("tunnel.relay_unknown", text, session.meter.id)
            self._compare(session, before, after)

    def _compare(
        self, session: MeterSession, before: RelayState | None, after: RelayState | None
    ) -> bool:
        """Return whether the relay stands elsewhere than before; then it is an alarm."""
        if before is None or after is None:
            return False
        moved = (before.output, before.control) != (after.output, after.control)
        if moved:
            text = f"during a tunnel the relay went from {_said(before)} to {_said(after)}"
            self._alarm("tunnel.relay_moved", text, session.meter.id)
        return moved


async def look(session: MeterSession) -> RelayState | None:
    """Return where the relay stands, None where there is none; the meter has said its name.

    Raises:
        MeterFailed: told by hop; `WrongMeter` when another meter answers here.
    """
    if session.template.objects.disconnect_control is not None:
        return await session.read_relay()
    async with session.reading():
        return None


async def _look_if_possible(session: MeterSession) -> RelayState | None:
    try:
        return await look(session)
    except MeterFailed as error:
        log.info("%s beside a tunnel: %s", session.meter.id, error)
        return None


def _said(state: RelayState) -> str:
    return f"{'connected' if state.output else 'disconnected'} (control state {state.control})"
