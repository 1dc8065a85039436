"""Changing a meter's keys in two phases, so that there is always a key that opens it.

Theory of operation
-------------------
::

    open with the old keys, name compared
      │ store the new ones beside the old            durable; killed here: the old ones open
      │ key_transfer under the master key            killed here: either may open
      │    └ declined: no proof of anything          nor is any other answer
    open with the new keys ──else──→ with the old ones
      │                                  └ drop the new ones                       durable
      └ the new ones are the keys, the old ones are gone                           durable

Which keys open the meter settles it, in whichever association that comes about: of this command, of
the next start, or of a reading that is due, see `key_store` and `sessions.opening`. Until then both
are kept. The new keys are in the command sealed and in the key store; nowhere else.

A command that brings what the meter has already is confirmed by that association alone: the head
end sends the same keys again when it has not heard how an earlier command ended.
"""

import asyncio
from dataclasses import dataclass

from hesper_contracts.commands import Command
from hesper_contracts.frame import Refused
from hesper_contracts.new_keys import NewKeys, Opener, Recipient
from hesper_contracts.parameters import ChangeKeys
from hesper_contracts.results import Findings, KeysAtMeter

from hesper_gateway.errors import Hop, MeterFailed, WriteUncertain
from hesper_gateway.execution import Report
from hesper_gateway.key_store import NAMES
from hesper_gateway.lines.line import Priority
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import MeterSession, Permit, key_change

AGAIN_S = (0.0, 2.0, 10.0)


@dataclass(frozen=True, slots=True)
class KeyChanger:
    """Changes keys.

    Attributes:
        opener: Opens what is sealed for this gateway.
        again_s: Pauses before each attempt to find out which keys a meter has.
    """

    opener: Opener
    again_s: tuple[float, ...] = AGAIN_S

    def objection(self, session: MeterSession, command: Command, wanted: ChangeKeys) -> str | None:
        """Return why these keys can never be brought to this meter; None when they can."""
        try:
            new = self._opened(command, wanted)
        except Refused as refused:
            return str(refused)
        now = session.keys.current
        if not session.proves_keys:
            return "its management association would not prove new keys"
        if now.master_key is None or now.encryption_key is None:
            return "its keys file must hold encryption_key and master_key"
        if new.authentication_key is not None and now.authentication_key is None:
            return "its present authentication key is not known"
        for name in ("encryption_key", "authentication_key"):
            key = getattr(new, name)
            if key is not None and len(key) != len(now.encryption_key):
                return f"the new {name} is not as long as the present one"
        return None

    async def run(
        self, session: MeterSession, command: Command, wanted: ChangeKeys, permit: Permit
    ) -> Report:
        """Bring new keys to a meter and prove them.

        Raises:
            CommandExpired: by ``permit``; nothing was written.
            WrongMeter: another meter answers, or no name is known; nothing was written.
            MeterFailed: nothing was written.
        """
        new, held = self._opened(command, wanted), session.keys
        is_there = False
        where = session.template.objects.security_setup

        async def turn() -> str:
            nonlocal is_there
            permit()
            async with session.writing(command.logical_device_name) as reading:
                is_there = _has(held.current, new)
                if is_there:
                    return ""
                master = held.current.master_key
                if master is None:  # a change before this one was settled just now
                    raise MeterFailed("there is no master key", Hop.GATEWAY)
                permit()
                await held.begin(command.id, new)
                return await key_change.transfer(reading.association, where, master, new)

        try:
            refusal = await session.line.submit(turn, Priority.COMMAND)
        except WriteUncertain as uncertain:
            return await self.check(session, command, str(uncertain))
        if is_there:
            return _report(True, "the meter had these keys already", "new")
        return await self.check(session, command, refusal)

    async def check(self, session: MeterSession, command: Command, why: str) -> Report:
        """Find out which keys the meter has, by associations with the new ones and the old ones."""
        held, error = session.keys, ""
        for pause_s in self.again_s:
            if held.changed_by == command.id:
                return _report(True, why, "new")
            if held.pending is None or held.pending.command_id != command.id:
                return _report(False, f"{why or 'not taken'}; the meter has its old keys", "old")
            await asyncio.sleep(pause_s)
            error = await _associated(session) or "the outcome cannot be stored"
        if held.pending is None:
            return await self.check(session, command, why)
        return _report(None, "; ".join(filter(None, (why, error))), "either")

    def _opened(self, command: Command, wanted: ChangeKeys) -> NewKeys:
        recipient = Recipient(command.gateway, command.meter, command.id)
        return self.opener.open(wanted.sealed, recipient)


def _has(current: MeterKeys, new: NewKeys) -> bool:
    """Say whether all that is new is there: an earlier command brought it."""
    given = {name: getattr(new, name) for name in NAMES}
    return all(key in (None, getattr(current, name)) for name, key in given.items())


async def _associated(session: MeterSession) -> str:
    """Open the management association with whichever keys; return why not, or nothing."""

    async def turn() -> None:
        async with session.reading("management"):
            return

    try:
        await session.line.submit(turn, Priority.COMMAND)
    except MeterFailed as failed:
        return f"the meter opens with neither key: {failed}"
    return ""


def _report(done: bool | None, detail: str, keys: KeysAtMeter) -> Report:
    return Report(done, detail, findings=Findings(keys=keys))
